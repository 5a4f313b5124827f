"""Targets of the pseudo-labels, each kind from its definition, and none from the future."""

import dataclasses
import types

import numpy as np
import pytest
import torch
from snapshots import make_snapshot

from finrec_dgl.base.errors import ConfigError, DataError
from finrec_dgl.nn import HybridConfig, PseudoLabeler
from finrec_dgl.relations import pseudo_loss


def pseudo_targets(config, dataset, snapshot, seed=0):
    """The targets in ``snapshot`` of classes that are made of it too."""
    return PseudoLabeler(config, dataset, snapshot, seed).targets(snapshot)


def test_prototypes_are_soft_assignments_of_text():
    """Catches targets that are no distribution, and nodes without text that get one."""
    snapshot = make_snapshot()
    config = HybridConfig(pseudo_classes=4)
    found = pseudo_targets(config, None, snapshot)
    for name, text in (("user", snapshot.user_text), ("item", snapshot.item_text)):
        torch.testing.assert_close(found.target[name].sum(1), torch.ones(len(text)))
        assert np.array_equal(found.confidence[name].numpy() > 0, text.any(axis=1))
    again = pseudo_targets(config, None, snapshot)
    assert torch.equal(found.target["item"], again.target["item"])
    # equal texts, equal targets; opposite texts, other targets
    snapshot.item_text[1] = snapshot.item_text[0]
    twins = pseudo_targets(config, None, snapshot).target["item"]
    assert torch.equal(twins[0], twins[1])


def test_columns_are_categories_and_means_over_holdings():
    """Catches a user's target taken from products that the user does not hold."""
    snapshot = make_snapshot()
    found = pseudo_targets(HybridConfig(pseudo_target="columns"), None, snapshot)
    codes = snapshot.item_categories["kind"]
    for item, code in enumerate(codes):
        row = found.target["item"][item]
        assert row.sum() == (code >= 0)
        assert code < 0 or row[code] == 1
    held = snapshot.matrix().toarray() > 0
    for user in range(snapshot.n_users):
        if held[user].any():
            plain = found.target["item"][held[user]].mean(0)
            torch.testing.assert_close(found.target["user"][user], plain)
        else:
            assert found.confidence["user"][user] == 0
    with pytest.raises(ConfigError, match=r"no product categories \['colour'\]"):
        pseudo_targets(
            HybridConfig(pseudo_target="columns", pseudo_columns=("colour",)), None, snapshot
        )


class FakeDataset(types.SimpleNamespace):
    """The id map that a file of labels is read with."""

    def user_indices(self, ids):
        return np.array([int(one[1:]) if one.startswith("u") else -1 for one in ids.to_pylist()])

    item_indices = user_indices


DATASET = FakeDataset(n_users=3, n_items=2)


def from_file(path, text):
    path.write_text(text, encoding="utf-8")
    config = HybridConfig(pseudo_target="file", pseudo_file=str(path))
    return pseudo_targets(config, DATASET, make_snapshot())


def test_labels_from_a_file(tmp_path):
    """Catches rows given to the wrong node, and confidences lost."""
    found = from_file(
        tmp_path / "labels.csv",
        "node,id,confidence,saver,trader\nuser,u2,0.5,0.9,0.1\nitem,u0,1,0,1\nuser,x,1,1,1\n",
    )
    assert found.classes == ("saver", "trader")
    torch.testing.assert_close(found.target["user"][2], torch.tensor([0.9, 0.1]))
    assert found.confidence["user"].tolist() == [0, 0, 0.5]
    assert found.confidence["item"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("node,id\nuser,u1\n", "no class columns"),
        ("node,id,a\nperson,u1,1\n", "'person'.*\n.*'user' or 'item'"),
        ("node,id,a\nuser,u1,1.5\n", "'1.5'.*\n.*from 0 to 1.*\n.*row 2, column a"),
        ("node,id,a\nuser,u1,much\n", "'much'"),
        ("id,a\nu1,1\n", "node"),
    ],
)
def test_bad_label_files_are_refused(tmp_path, text, words):
    """Catches labels that would be read as something else."""
    with pytest.raises(DataError, match=words):
        from_file(tmp_path / "labels.csv", text)


def test_loss_is_weighted_by_confidence():
    """Catches nodes without a target that pull y towards zero."""
    torch.manual_seed(0)
    logits, target = torch.randn(5, 3), torch.rand(5, 3)
    confidence = torch.tensor([1.0, 0.0, 0.5, 0.0, 2.0])
    plain, total = 0.0, 0.0
    for row in range(5):
        y = torch.sigmoid(logits[row])
        each = -(target[row] * y.log() + (1 - target[row]) * (1 - y).log()).mean()
        plain, total = plain + confidence[row] * each, total + confidence[row]
    torch.testing.assert_close(pseudo_loss(logits, target, confidence), plain / total)
    nothing = pseudo_loss(logits, target, torch.zeros(5))
    assert float(nothing) == 0.0


def test_no_text_at_all_gives_no_targets():
    """Catches k-means on nothing."""
    snapshot = make_snapshot()
    texts = dataclasses.replace(
        snapshot.texts, user=snapshot.user_text * 0, item=snapshot.item_text * 0
    )
    silent = dataclasses.replace(snapshot, texts=texts)
    found = pseudo_targets(HybridConfig(), None, silent)
    assert not found.confidence["user"].any()


def test_classes_are_those_of_the_snapshot_they_were_made_of():
    """Catches classes that are found anew in each snapshot, and targets of another one's texts."""
    first, later = make_snapshot(0), make_snapshot(1)
    config = HybridConfig(pseudo_classes=4)
    labeler = PseudoLabeler(config, None, first)
    other = PseudoLabeler(config, None, later)
    found, own = labeler.targets(later), other.targets(later)
    assert not torch.allclose(found.target["item"], own.target["item"], atol=0.1)
    assert found.classes == labeler.classes
    sharp = labeler.targets(dataclasses.replace(first, texts=later.texts))
    torch.testing.assert_close(sharp.target["item"], found.target["item"])


def test_columns_follow_the_histories_of_each_snapshot():
    """Catches a user's target of items taken up later than the snapshot."""
    first, later = make_snapshot(0), make_snapshot(1)
    later = dataclasses.replace(later, item_categories=first.item_categories)
    config = HybridConfig(pseudo_target="columns")
    labeler = PseudoLabeler(config, None, first)
    found, own = labeler.targets(later), PseudoLabeler(config, None, later).targets(later)
    assert torch.equal(found.target["user"], own.target["user"])
    assert not torch.equal(found.target["user"], labeler.targets(first).target["user"])
