"""Writes what the products of a made-up bank are said to be, and what its customers say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from finrec_dgl.tables.world.kinds import KINDS, Kind
from finrec_dgl.tables.world.population import Population, random
from finrec_dgl.tables.world.simulate import Batch
from finrec_dgl.tables.world.themes import THEMES, Phrases, Theme

RISKS = ("1", "2", "3", "4", "5", "6", "7")
CURRENCIES = {"EUR": "euros", "USD": "US dollars", "GBP": "pounds", "CHF": "Swiss francs"}
SEGMENTS = ("everyday", "young", "premier", "private", "business")
AGES = ("18-25", "26-35", "36-45", "46-55", "56-65", "66+")
_JOBS = (
    *("accountant", "baker", "bus driver", "chemist", "cook", "dentist", "editor", "electrician"),
    *("engineer", "hairdresser", "hotel manager", "journalist", "judge", "mechanic", "musician"),
    *("office clerk", "painter", "police officer", "postal worker", "project manager", "secretary"),
    *("scientist", "shop assistant", "tailor", "translator", "vet", "waiter", "warehouse worker"),
)
_YOUNG_JOBS = ("student", "student", "apprentice", "shop assistant", "waiter", "volunteer")
_PROVIDERS = {
    "investments": ("Halvenby", "Ostrelle", "Velmora", "Quenmark", "Tarnholt", "Lindquay"),
    "savings": ("Corvanne", "Merrowdale", "Tarnholt", "Brennick", "Velmora"),
    "insurance": ("Aldermoor", "Sollenby", "Pellworth", "Kestrane"),
    "payments": ("Corvanne", "Merrowdale", "Brennick", "Fennimoor"),
    "lending": ("Corvanne", "Merrowdale", "Brennick", "Fennimoor"),
}
_ALSO = (
    "About a fifth is put into {things}.",
    "A smaller part goes to {things}.",
    "It is rounded off by {things}.",
)
_GOALS = (
    "Wants {first}.",
    "Wants {first}. Would also like {second}.",
    "Hopes {first} and, later on, {second}.",
    "Would like {first}. {need}",
    "The main goal is {first}. {need}",
    "Plans {first}, and one day {second}. {need}",
)
_NEEDS = {
    "investments": ("Looking for funds or securities to invest in.", "Has a sum to invest."),
    "savings": ("Puts something aside every month.", "Asks about saving and pensions."),
    "insurance": ("Asks which insurance is missing.", "Wants to be properly insured."),
    "payments": ("Needs an account and cards first.", "Asks about accounts and cards."),
    "lending": ("Needs a loan soon.", "Asks about financing."),
}
_BOUGHT = {
    "investments": (
        "Put a first sum into {name}.",
        "Bought {name} after reading the factsheet.",
        "Ordering was quick and the costs were shown clearly.",
        "Added to my portfolio this week.",
    ),
    "savings": (
        "Opened {name} in ten minutes.",
        "Transferred the first deposit today.",
        "The rate is fair and the terms are easy to read.",
        "I set up a standing order right away.",
    ),
    "insurance": (
        "Took out {name} after comparing three offers.",
        "The policy arrived the next day.",
        "The terms are written so that one can understand them.",
        "Finally insured.",
    ),
    "payments": (
        "Got {name} last week.",
        "Works well so far, in the app and at the till.",
        "Opening it online was painless.",
        "The card arrived quickly.",
    ),
    "lending": (
        "{name} was approved within two days.",
        "The adviser worked out a fair monthly rate.",
        "The money was there on Friday.",
        "Good conditions, and less paper than I feared.",
    ),
}
_ASKS = {
    "investments": ("Which fund would you suggest?", "I would like to invest more of this kind."),
    "savings": ("Which savings plan would fit?", "I would like to put more aside for it."),
    "insurance": ("Am I insured well enough?", "Please tell me which cover I still need."),
    "payments": ("Is there a better account or card for me?", "Which card would you recommend?"),
    "lending": ("What would a loan cost me?", "Could you make me an offer for financing?"),
}
_CHATTER = (
    "Waited twenty minutes on the phone, but the answer was helpful.",
    "The app logged me out twice, otherwise fine.",
    "Friendly advice at the branch.",
    "Four stars, because the letters could be shorter.",
    "No complaints.",
    "I only wish the statements were easier to find.",
)
_NO_PROFILE = 0.15
_NO_GOALS = 0.3
_WRITERS = 0.45
_WRITES = 0.4


def facts(population: Population) -> dict[str, pa.Array]:
    """The columns kind, category, risk_class and currency of every product, as strings."""
    rng = random(population.world, 10)
    kind = population.kind
    low, high = np.array([one.risks for one in KINDS]).T
    risk = rng.integers(low[kind], high[kind] + 1)
    # loans, accounts and insurance are in the bank's own currency
    abroad = np.array([one.family == "investments" for one in KINDS])[kind]
    currency = rng.choice(len(CURRENCIES), len(kind), p=[0.55, 0.25, 0.1, 0.1]) * abroad
    return {
        "kind": _spelt([one.label for one in KINDS], kind),
        "category": _spelt([one.family for one in KINDS], kind),
        "risk_class": _spelt(RISKS, risk - 1),
        "currency": _spelt(list(CURRENCIES), currency),
    }


def _spelt(words: Sequence[str], codes: np.ndarray) -> pa.Array:
    return pa.array(words).take(pa.array(codes))


def product_texts(population: Population, currencies: Sequence[str]) -> dict[str, list[str | None]]:
    """The columns name, provider, yearly_percent, yearly_fee, term_years and description.

    ``currencies`` are the codes of the products' currencies. A product has a percentage (interest
    or charge) or a fee, not both; None is also the term of what is open-ended.
    """
    uniform = random(population.world, 11).random((population.world.items, 12)).tolist()
    names = ("name", "provider", "yearly_percent", "yearly_fee", "term_years", "description")
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    taken: dict[str, int] = {}
    last = int(population.world.end[:4])
    rows = zip(
        population.kind.tolist(),
        population.theme.tolist(),
        population.also.tolist(),
        currencies,
        uniform,
        strict=True,
    )
    for kind_number, theme_number, also, currency, chance in rows:
        kind, theme = KINDS[kind_number], THEMES[theme_number]
        provider = _pick(_PROVIDERS[kind.family], chance[0])
        amount, cost = _cost(kind, chance[1], CURRENCIES[currency])
        percent = kind.cost_unit.startswith("%")
        years = kind.terms[int(chance[2] * len(kind.terms))] if kind.terms else 0
        name = _name(kind, theme, provider, chance[3:5], amount, last + years)
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            name = f"{name} {_roman(taken[name])}"
        works = _pick(kind.works, chance[5]).format(
            cost=cost,
            rate=f"{amount}%",
            term="one year" if years == 1 else f"{years} years",
            currency=CURRENCIES[currency],
        )
        also_theme = THEMES[also] if also >= 0 else None
        values = (
            name,
            provider,
            amount if percent else None,
            None if percent else amount,
            str(years) if years else None,
            _description(kind, theme, also_theme, works, chance[6:]),
        )
        for column, value in zip(names, values, strict=True):
            columns[column].append(value)
    return columns


def _pick(phrases: Phrases, chance: float) -> str:
    return phrases[int(chance * len(phrases))]


def _cost(kind: Kind, chance: float, currency: str) -> tuple[str, str]:
    """The number, and the number in words."""
    low, high = kind.costs
    if kind.cost_unit.startswith("%"):
        rate = f"{round((low + chance * (high - low)) * 20) / 20:.2f}"
        return rate, rate + kind.cost_unit
    # four of ten cards and accounts are free
    chance = max(0.0, chance - 0.4) / 0.6 if low == 0 else chance
    fee = 5 * round((low + chance * (high - low)) / 5)
    return str(fee), f"{fee} {currency}{kind.cost_unit}" if fee else "nothing"


def _name(
    kind: Kind, theme: Theme, provider: str, chance: Sequence[float], amount: str, due: int
) -> str:
    investment = kind.family == "investments"
    label = _pick((theme.labels if investment else theme.tags) or theme.labels, chance[0])
    name = f"{provider} {label} {_pick(kind.nouns, chance[1])}"
    repeated = f"{label.split()[-1]} {label.split()[-1]}"
    name = name.replace(repeated, label.split()[-1])
    if kind.name == "bond":
        return f"{name} {amount}% {due}"
    return name


def _roman(number: int) -> str:
    return {2: "II", 3: "III", 4: "IV", 5: "V"}.get(number, str(number))


def _description(
    kind: Kind, theme: Theme, also: Theme | None, works: str, chance: Sequence[float]
) -> str:
    if kind.name in theme.says:
        openings, further = theme.says[kind.name]
        opening = _pick(openings, chance[0])
    else:
        opening = _pick(kind.openings, chance[0]).format(
            things=_pick(_things(kind, theme), chance[1])
        )
        further = theme.details
    # details tell of a portfolio, and a single bond is none
    sentences = [opening] if kind.name == "bond" else [opening, _pick(further, chance[2])]
    if also is not None:
        sentences.append(
            _pick(_ALSO, chance[3]).format(things=_pick(_things(kind, also), chance[4]))
            if kind.family == "investments"
            else _pick(also.aside, chance[4])
        )
    if chance[5] < 0.75 or len(sentences) == 1:
        sentences.append(works)
    return " ".join(sentences)


def _things(kind: Kind, theme: Theme) -> Phrases:
    return {"bond_fund": theme.debt, "bond": theme.projects}.get(kind.name, theme.shares)


def profiles(population: Population) -> dict[str, list[str | None]]:
    """The columns segment, age_band, occupation and goals; None where nothing is known."""
    uniform = random(population.world, 12).random((population.world.users, 12)).tolist()
    columns: dict[str, list[str | None]] = {
        name: [] for name in ("segment", "age_band", "occupation", "goals")
    }
    needs = list(_NEEDS.values())
    rows = zip(
        population.first.tolist(),
        population.second.tolist(),
        population.need.tolist(),
        uniform,
        strict=True,
    )
    for first, second, need, chance in rows:
        goals = _pick(_GOALS, chance[0]).format(
            first=_pick(THEMES[first].goals, chance[1]),
            second=_pick(THEMES[second].goals, chance[2]),
            need=_pick(needs[need], chance[3]),
        )
        known = chance[4] > _NO_PROFILE
        person = _person(THEMES[first], THEMES[second], chance[6:])
        for name, value in zip(("segment", "age_band", "occupation"), person, strict=True):
            columns[name].append(value if known else None)
        columns["goals"].append(goals if known and chance[5] > _NO_GOALS else None)
    return columns


def plain_profiles(population: Population) -> dict[str, pa.Array]:
    """The columns segment and age_band, which tell nothing of anybody's taste."""
    rng = random(population.world, 13)
    return {
        name: _spelt(words, rng.integers(len(words), size=population.world.users, dtype=np.int8))
        for name, words in (("segment", SEGMENTS), ("age_band", AGES))
    }


def _person(first: Theme, second: Theme, chance: Sequence[float]) -> tuple[str, str, str]:
    """Segment, age band and occupation; half of the time they fit the themes more closely."""
    ages = first.ages or second.ages or AGES
    if first.ages and second.ages:
        ages = tuple(age for age in first.ages if age in second.ages)
    age = _pick(ages, chance[0])
    job = _pick((first.jobs or _JOBS) if chance[1] < 0.5 else _JOBS, chance[2])
    if age == "66+":
        job = "retired"
    elif age == "18-25":
        job = _pick(_YOUNG_JOBS, chance[2])
    elif job == "retired":
        job = "civil servant"
    themes = (first.name, second.name)
    if "private_wealth" in themes:
        segment = "private"
    elif "small_business" in themes:
        segment = "business"
    elif age == "18-25":
        segment = "young"
    else:
        segment = "premier" if chance[3] < 0.25 else "everyday"
    return segment, age, job


def reviews(
    population: Population, batch: Batch, number: int, names: Sequence[str]
) -> list[str | None]:
    """What customers wrote with the purchases of a batch (the one of this ``number``).

    Fewer than half of the customers write at all, and not each time. Most of what they write is
    about themselves: mainly their first theme, less often their second, sometimes neither.
    """
    writers = random(population.world, 14).random(population.world.users) < _WRITERS
    rng = random(population.world, 15, number)
    texts: list[str | None] = [None] * len(batch.user)
    rows = np.flatnonzero(writers[batch.user] & (rng.random(len(batch.user)) < _WRITES))
    uniform = rng.random((len(rows), 8)).tolist()
    for row, chance in zip(rows.tolist(), uniform, strict=True):
        user, item = batch.user[row], batch.item[row]
        texts[row] = _review(
            KINDS[population.kind[item]].family,
            names[item],
            THEMES[population.first[user] if chance[0] < 0.7 else population.second[user]],
            list(_ASKS.values())[population.need[user]],
            chance[1:],
        )
    return texts


def _review(family: str, name: str, theme: Theme, asks: Phrases, chance: Sequence[float]) -> str:
    bought = _pick(_BOUGHT[family], chance[0]).format(name=name)
    if chance[1] < 0.15:
        return f"{bought} {_pick(_CHATTER, chance[2])}"
    interest = _pick(theme.interests, chance[2])
    if chance[3] < 0.3:
        return f"{interest} {_pick(asks, chance[4])}"
    if chance[3] < 0.5:
        return f"{interest} {bought}"
    if chance[3] < 0.65:
        return interest
    return f"{bought} {interest}"
