"""The made-up bank: its tables are sound, and it plants the signals it says, and no others."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from finrec_dgl.base.errors import ConfigError, DataError, UsageError
from finrec_dgl.tables import read_source
from finrec_dgl.tables.generate import (
    NOT_ON_SALE,
    World,
    generate,
    oracle,
    write_tables,
    write_world,
)
from finrec_dgl.tables.world.kinds import KINDS
from finrec_dgl.tables.world.population import Population, populate
from finrec_dgl.tables.world.simulate import STEP, Simulation
from finrec_dgl.tables.world.themes import THEMES

SMALL = World(users=400, items=90, interactions_per_user=8, seed=3)
SILENT_WORLD = World(
    users=1500,
    items=92,
    interactions_per_user=12,
    text_strength=0,
    graph_strength=0,
    tie_strength=0,
    popularity_strength=0,
    cold_share=0,
    texts=False,
    seed=5,
)


@pytest.fixture(scope="module")
def tables():
    return generate(SMALL)


@dataclass
class Purchases:
    population: Population
    user: np.ndarray
    item: np.ndarray
    time: np.ndarray


def purchases(world: World) -> Purchases:
    population = populate(world)
    batches = list(Simulation(population).batches())
    return Purchases(
        population,
        *(np.concatenate([getattr(b, name) for b in batches]) for name in ("user", "item", "time")),
    )


# --- the tables


def test_same_seed_same_world_and_another_seed_another(tables):
    """Catches randomness that the seed does not rule, in any table."""
    again, other = generate(SMALL), generate(replace(SMALL, seed=4))
    for name in ("interactions", "items", "users", "ties"):
        assert getattr(tables, name).equals(getattr(again, name))
        assert not getattr(tables, name).equals(getattr(other, name))


def test_leaving_out_texts_changes_no_purchase(tables):
    """Catches prose that draws from the random numbers of the purchases."""
    plain = generate(replace(SMALL, texts=False))
    assert plain.interactions.column_names == ["user_id", "item_id", "timestamp"]
    assert plain.interactions.equals(tables.interactions.select([0, 1, 2]))
    assert "description" not in plain.items.column_names
    assert plain.item_title is None


def test_sizes_are_those_asked_for(tables):
    assert tables.items.num_rows == SMALL.items
    assert tables.users.num_rows == SMALL.users
    mean = tables.interactions.num_rows / SMALL.users
    assert mean == pytest.approx(SMALL.interactions_per_user, rel=0.15)
    assert 2 * tables.ties.num_rows / SMALL.users == pytest.approx(SMALL.ties_per_user, rel=0.05)
    assert pc.count_distinct(tables.ties["kind"]).as_py() == 3


def test_every_reference_has_its_row(tables):
    """Catches ids made differently in two tables."""
    users, items = (
        set(tables.users["user_id"].to_pylist()),
        set(tables.items["item_id"].to_pylist()),
    )
    assert len(users) == SMALL.users
    assert len(items) == SMALL.items
    assert set(tables.interactions["user_id"].to_pylist()) <= users
    assert set(tables.interactions["item_id"].to_pylist()) <= items
    assert set(tables.ties["source_id"].to_pylist()) <= users
    assert set(tables.ties["target_id"].to_pylist()) <= users


def test_ties_are_distinct_and_tie_two_people(tables):
    ends = zip(
        tables.ties["source_id"].to_pylist(), tables.ties["target_id"].to_pylist(), strict=True
    )
    pairs = [frozenset(pair) for pair in ends]
    assert all(len(pair) == 2 for pair in pairs)
    assert len(set(pairs)) == len(pairs)


def test_time_runs_forward_and_nothing_is_bought_before_it_exists(tables):
    """Catches purchases of products not yet launched, or by customers not yet there."""
    times = tables.interactions["timestamp"].to_numpy()
    assert (np.diff(times) >= 0).all()
    assert SMALL.start_time <= times[0]
    assert times[-1] < SMALL.end_time
    for table, key in ((tables.items, "item_id"), (tables.users, "user_id")):
        since = dict(zip(table[key].to_pylist(), table["timestamp"].to_pylist(), strict=True))
        ids = tables.interactions[key].to_pylist()
        assert all(since[one] <= time for one, time in zip(ids, times.tolist(), strict=True))
    since = dict(zip(*(tables.users[n].to_pylist() for n in ("user_id", "timestamp")), strict=True))
    for row in tables.ties.to_pylist():
        assert since[row["source_id"]] <= row["timestamp"] < SMALL.end_time
        assert since[row["target_id"]] <= row["timestamp"]


def test_some_products_are_launched_late_and_some_customers_arrive_late(tables):
    launched = tables.items["timestamp"].to_numpy()
    joined = tables.users["timestamp"].to_numpy()
    assert (launched > SMALL.start_time).mean() == pytest.approx(SMALL.cold_share, abs=0.01)
    assert (joined > SMALL.start_time).mean() == pytest.approx(SMALL.arriving_share, abs=0.01)


def test_activity_has_a_long_tail():
    counts = np.bincount(purchases(SILENT_WORLD).user, minlength=SILENT_WORLD.users)
    assert np.quantile(counts, 0.99) > 4 * np.median(counts)


def test_repurchases_are_rare_but_there():
    """Catches a refusal of held products that is always or never applied."""

    def share(repurchase: float) -> float:
        world = replace(SILENT_WORLD, interactions_per_user=4, repurchase=repurchase)
        bought = purchases(world)
        pairs = np.unique(bought.user.astype(np.int64) * world.items + bought.item)
        return 1 - len(pairs) / len(bought.user)

    assert share(0.0) < 0.01
    assert share(0.0) < share(0.2) < share(1.0)


# --- the texts


def test_every_product_is_described_in_full_sentences(tables):
    """Catches template fields left open, doubled words and missing sentences."""
    for row in tables.items.to_pylist():
        text = row["description"]
        assert 1 <= text.count(". ") <= 4
        assert text[0].isupper()
        assert text.endswith(".")
        assert not {"{", "}", "  ", "..", "None"} & {
            text[i : i + n] for n in (1, 2, 4) for i in range(len(text))
        }
        words = text.lower().split()
        assert not [a for a, b in zip(words, words[1:], strict=False) if a == b]


def test_names_are_unique_and_texts_are_varied():
    items = generate(World(users=50)).items
    assert pc.count_distinct(items["name"]).as_py() == items.num_rows
    assert pc.count_distinct(items["description"]).as_py() > 0.9 * items.num_rows
    assert set(items["kind"].to_pylist()) == {kind.label for kind in KINDS}


def test_some_customers_write_and_some_have_no_profile(tables):
    texts = tables.interactions["text"]
    assert 0.05 < 1 - texts.null_count / len(texts) < 0.4
    assert 0.05 < tables.users["segment"].null_count / SMALL.users < 0.3
    assert tables.users["goals"].null_count > tables.users["segment"].null_count


def test_texts_tell_a_customer_s_own_theme():
    """Catches reviews and goals that belong to somebody else."""
    world = replace(SMALL, text_strength=0)
    told, population = generate(world), populate(world)
    goals = told.users["goals"].to_pylist()
    for user in np.flatnonzero(np.array([one is not None for one in goals])):
        assert any(goal in goals[user] for goal in THEMES[population.first[user]].goals)
    row = {one: number for number, one in enumerate(told.users["user_id"].to_pylist())}
    written = told.interactions.filter(pc.is_valid(told.interactions["text"])).to_pylist()
    first, second = (
        np.mean(
            [
                any(s in one["text"] for s in THEMES[themes[row[one["user_id"]]]].interests)
                for one in written
            ]
        )
        for themes in (population.first, population.second)
    )
    assert first > 0.5
    assert 0.15 < second < 0.4


def test_every_theme_and_kind_can_be_written():
    """Catches a theme with no words for what some kind of its products needs."""
    described = generate(World(users=20, items=3000, interactions_per_user=3)).items
    assert described["description"].null_count == 0
    assert {kind for theme in THEMES for kind in theme.kinds()} == {kind.name for kind in KINDS}


# --- the signals


def theme_lift(bought: Purchases) -> float:
    """How much more often the customer's first theme is bought than by chance."""
    people, themes = bought.population.first[bought.user], bought.population.theme[bought.item]
    shuffled = np.random.default_rng(0).permutation(themes)
    return (people == themes).mean() / (people == shuffled).mean()


def latent_mean(bought: Purchases) -> float:
    """The mean of <z_u, q_i> over purchases; 0 by chance, the variance is 1."""
    p = bought.population
    return float((p.latent[bought.user] * p.directions[p.group[bought.item]]).sum(1).mean())


def coholding_lift(bought: Purchases) -> float:
    """Cosine of the holders of two products of one latent group over that of any two."""
    world = bought.population.world
    held = np.zeros((world.users, world.items))
    held[bought.user, bought.item] = 1
    unit = held / np.linalg.norm(held, axis=0)
    cosine = unit.T @ unit
    same = bought.population.group[:, None] == bought.population.group
    other = ~np.eye(world.items, dtype=bool)
    return cosine[same & other].mean() / cosine[other].mean()


def tie_lift(bought: Purchases) -> float:
    """How much more of what one buys a tied customer held before than a stranger did."""
    p = bought.population
    n = p.world.users
    first = np.full((n, p.world.items), np.iinfo(np.int64).max)
    np.minimum.at(first, (bought.user, bought.item), bought.time)

    def held_before(source: np.ndarray, target: np.ndarray) -> float:
        had = first[source] < np.minimum(first[target], np.iinfo(np.int64).max)
        return (had & (first[target] < np.iinfo(np.int64).max)).sum()

    shuffled = np.random.default_rng(0).permutation(p.ties.target)
    return held_before(p.ties.source, p.ties.target) / held_before(p.ties.source, shuffled)


def popularity_gini(bought: Purchases) -> float:
    counts = np.sort(np.bincount(bought.item, minlength=bought.population.world.items))
    place = np.arange(1, len(counts) + 1)
    return float((2 * place - len(counts) - 1) @ counts / (len(counts) * counts.sum()))


SIGNALS = ("text", "latent", "coholding", "ties", "popularity")
STRENGTHS = {
    "text_strength": (2.0, {"text"}),
    "graph_strength": (1.5, {"latent", "coholding"}),
    "tie_strength": (4.0, {"ties"}),
    "popularity_strength": (0.7, {"popularity"}),
    None: (0.0, set()),
}


@pytest.mark.parametrize("strength", STRENGTHS)
def test_each_strength_plants_its_own_signal_and_no_other(strength):
    """Catches a strength that does nothing, and one that leaks into another signal."""
    value, planted = STRENGTHS[strength]
    world = SILENT_WORLD if strength is None else replace(SILENT_WORLD, **{strength: value})
    bought = purchases(world)
    found = {
        "text": theme_lift(bought) > 1.5,
        "latent": latent_mean(bought) > 0.4,
        "coholding": coholding_lift(bought) > 1.25,
        "ties": tie_lift(bought) > 1.25,
        "popularity": popularity_gini(bought) > 0.2,
    }
    assert {name for name in SIGNALS if found[name]} == planted
    # what is not planted is not there in a small way either
    quiet = {
        "text": abs(theme_lift(bought) - 1) < 0.15,
        "latent": abs(latent_mean(bought)) < 0.04,
        "coholding": abs(coholding_lift(bought) - 1) < 0.1,
        "ties": abs(tie_lift(bought) - 1) < 0.1,
        "popularity": popularity_gini(bought) < 0.12,
    }
    assert all(quiet[name] for name in SIGNALS if name not in planted)


def test_a_world_without_signals_is_uniform():
    """Catches any product, kind or season that is favoured where nothing should be."""
    bought = purchases(SILENT_WORLD)
    half = bought.time < (SILENT_WORLD.start_time + SILENT_WORLD.end_time) // 2
    for part in (half, ~half):
        counts = np.bincount(bought.item[part], minlength=SILENT_WORLD.items)
        expected = counts.sum() / SILENT_WORLD.items
        squares = ((counts - expected) ** 2 / expected).sum()
        freedom = SILENT_WORLD.items - 1
        # what is held already is not drawn again, which makes counts a little more even
        assert abs(squares - freedom) < 5 * np.sqrt(2 * freedom)


def test_popularity_alone_follows_zipf_s_law():
    bought = purchases(replace(SILENT_WORLD, popularity_strength=1.0, repurchase=1.0))
    counts = np.bincount(bought.item, minlength=SILENT_WORLD.items)
    slope = np.polyfit(bought.population.log_rank, np.log(counts + 0.5), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.15)


def test_purchases_are_drawn_from_the_softmax_of_the_oracle_s_scores():
    """Catches a mistake in any part of the factored draw: its frequencies are those of a softmax
    laid out in full, ties included."""
    world = World(
        users=6000,
        items=60,
        interactions_per_user=25,
        repurchase=1.0,
        cold_share=0,
        text_strength=2.0,
        graph_strength=1.0,
        tie_strength=5.0,
        texts=False,
    )
    bought = purchases(world)
    start = world.start_time + 20 * STEP
    rows = (bought.time >= start) & (bought.time < start + STEP)
    user, item = bought.user[rows], bought.item[rows]
    score = oracle(world, start, start + STEP).score(user).astype(float)
    log_share = score - np.log(np.exp(score).sum(1, keepdims=True))
    share = np.exp(log_share)
    expected, counts = share.sum(0), np.bincount(item, minlength=world.items)
    deviation = (counts - expected) / np.sqrt((share * (1 - share)).sum(0))
    assert len(user) > 2500
    assert np.abs(deviation).max() < 4.5
    mean = (share * log_share).sum(1)
    spread = np.sqrt(((share * log_share**2).sum(1) - mean**2).sum())
    got = log_share[np.arange(len(item)), item].sum()
    assert abs(got - mean.sum()) < 4 * spread


# --- the oracle


def test_the_oracle_beats_popularity_and_each_part_alone():
    """Catches an oracle that looks at the wrong time, customer or product."""
    world = World(users=1500, texts=False, seed=2)
    cut = world.end_time - 60 * 86400
    bought = purchases(world)
    before = bought.time < cut
    held = np.zeros((world.users, world.items), bool)
    held[bought.user[before], bought.item[before]] = True
    target = np.zeros_like(held)
    target[bought.user[~before], bought.item[~before]] = True
    target &= ~held
    users = np.flatnonzero(target.any(1))

    def hits(score: np.ndarray) -> float:
        top = np.argsort(-np.where(held[users], -np.inf, score), axis=1)[:, :10]
        return np.take_along_axis(target[users], top, 1).any(1).mean()

    best = oracle(world, cut)
    popular = hits(np.broadcast_to(held.sum(0), (len(users), world.items)))
    full = hits(best.score(users))
    assert full > 1.5 * popular
    for part in ("text_strength", "graph_strength", "tie_strength"):
        poorer = replace(world, **{part: 0.0})
        without = replace(best, population=replace(best.population, world=poorer))
        assert hits(without.score(users)) < full


def test_the_oracle_can_be_put_in_anybody_s_order():
    """Catches rows or columns mixed up on the way to a data set's own numbering."""
    told = generate(SMALL)
    best = oracle(SMALL, SMALL.end_time - 60 * 86400)
    users = told.users["user_id"].to_pylist()[::-1][:50]
    items = told.items["item_id"].to_pylist()[::-1]
    aligned = best.aligned(users, items).score(np.array([0, 49]))
    plain = best.score(np.array([SMALL.users - 1, SMALL.users - 50]))
    assert aligned.dtype == np.float32
    np.testing.assert_array_equal(aligned, plain[:, ::-1])
    with pytest.raises(DataError, match="1 of 1 item ids"):
        best.aligned(users, ["FND-9999"])


def test_the_oracle_knows_what_is_on_sale():
    """Catches scores for products that nobody could buy in the window."""
    middle = (SMALL.start_time + SMALL.end_time) // 2
    best = oracle(SMALL, middle - 86400, middle)
    never = best.population.launched >= middle
    scores = best.score(np.arange(5))
    assert np.isfinite(scores).all()
    assert never.any()
    assert (scores[:, never] == np.float32(NOT_ON_SALE)).all()
    assert (scores[:, ~never] > -1000).all()
    with pytest.raises(DataError, match="before it begins"):
        oracle(SMALL, middle, middle)


# --- the files


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_files_read_back_as_the_same_tables(tmp_path, tables, file_format):
    """Catches a format or a column choice that the reader takes differently."""
    rows = write_world(SMALL, tmp_path / "a", file_format)
    write_tables(tables, tmp_path / "b", file_format, world=SMALL)
    for folder in ("a", "b"):
        back = read_source(tmp_path / folder)
        for name in ("interactions", "items", "users", "ties"):
            assert getattr(back, name).equals(getattr(tables, name))
            assert getattr(back, name).num_rows == rows[name]
        for name in ("item_text", "item_categories", "user_text", "user_categories", "item_title"):
            assert getattr(back, name) == getattr(tables, name)
        assert not any(back.dropped.values())
        told = json.loads((tmp_path / folder / "world.json").read_text())
        assert World(**told["world"]) == SMALL


def test_large_worlds_are_written_step_by_step(tmp_path):
    """Catches interactions gathered in memory before they are written."""
    from pyarrow import parquet

    write_world(replace(SMALL, texts=False), tmp_path / "a", "parquet")
    assert parquet.ParquetFile(tmp_path / "a" / "interactions.parquet").num_row_groups > 50


def test_a_folder_is_replaced_only_when_asked_and_only_if_ours(tmp_path):
    world = replace(SMALL, texts=False)
    write_world(world, tmp_path / "a")
    with pytest.raises(UsageError, match="already there"):
        write_world(world, tmp_path / "a")
    write_world(world, tmp_path / "a", "parquet", overwrite=True)
    assert not list((tmp_path / "a").glob("*.csv"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").touch()
    with pytest.raises(UsageError, match="other files"):
        write_world(world, tmp_path / "b", overwrite=True)
    with pytest.raises(UsageError, match="did you mean 'parquet'"):
        write_world(world, tmp_path / "c", "parket")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b"]


# --- odd worlds


@pytest.mark.parametrize(
    "world",
    [
        World(users=2, items=2, interactions_per_user=30, ties_per_user=1),
        World(users=3, items=5, interactions_per_user=100, ties_per_user=0, repurchase=0.0),
        World(users=60, items=10, cold_share=0.9, arriving_share=0.9),
        World(users=60, items=30, start="2024-01-01", end="2024-03-01"),
        World(users=60, items=30, text_strength=10, graph_strength=10, tie_strength=10,
              popularity_strength=3, ties_per_user=20),
    ],
)  # fmt: skip
def test_odd_worlds_are_made_all_the_same(world):
    """Catches divisions by nothing, endless refusals and numbers that overflow."""
    made = generate(world)
    assert made.interactions.num_rows > 0
    assert (made.ties is None) == (world.ties_per_user == 0)
    assert isinstance(made.interactions, pa.Table)


def test_a_world_without_purchases_is_refused_and_leaves_nothing(tmp_path):
    """Catches an empty interactions file that only a later command would stumble over."""
    world = World(users=2, items=2, interactions_per_user=0.1, ties_per_user=0)
    world = next(
        one for one in (replace(world, seed=seed) for seed in range(50)) if not bought_any(one)
    )
    with pytest.raises(DataError, match="no rows"):
        generate(world)
    with pytest.raises(DataError, match="nobody bought"):
        write_world(world, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def bought_any(world: World) -> bool:
    return Simulation(populate(world)).total > 0


def test_all_values_out_of_range_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        World(users=1, items=0, text_strength=-1, cold_share=1.0, start="yesterday", seed=-1)
    for name in ("users", "items", "text_strength", "cold_share", "start", "seed"):
        assert f"{name} is" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"users": 10.5}, "users is 10.5, expected int"),
        ({"texts": 1}, "texts is 1, expected bool"),
        ({"graph_strength": float("nan")}, "graph_strength is nan"),
        ({"start": "2024-12-31", "end": "2023-01-01"}, "expected 60 days"),
        ({"end": "9999-12-31"}, "expected the years"),
        ({"users": 1_000_000, "interactions_per_user": 5000}, "2\\^31"),
        ({"users": 5, "ties_per_user": 6}, "ties_per_user is 6"),
    ],
)
def test_a_world_that_cannot_be_is_refused(options, found):
    with pytest.raises(ConfigError, match=found):
        World(**options)
