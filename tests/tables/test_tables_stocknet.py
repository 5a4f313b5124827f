"""StockNet in small: posts as interactions, retweets as ties only."""

from __future__ import annotations

import pytest

from finrec_dgl.tables import ReadOptions, read_source

FILES = {
    "interactions.csv": "user_id,item_id,created_at,post_id,is_retweet,is_target\n"
    "u1,AAPL,2014-01-01T00:00:00Z,p1,0,1\nu1,C,2014-01-01T00:00:00Z,p1,0,0\n"
    "u2,AAPL,2014-01-02T00:00:00Z,p2,1,1\n",
    "posts.csv": "post_id,user_id,created_at,lang,is_retweet,retweet_of_user,text\n"
    'p1,u1,2014-01-01T00:00:00Z,en,0,,"buy $AAPL, $C"\np2,u2,,en,1,u1,rt\n',
    "social.csv": "src,dst,kind,first_at\nu2,u1,retweet,2014-01-02T00:00:00Z\n",
    "users.csv": "user_id,followers,friends,statuses,verified,account_year\n"
    "u1,1,2,3,0,2012\nu2,1,2,3,1,2013\n",
    "items.csv": "item_id,company,sector,is_target\nAAPL,Apple Inc.,Tech,1\nC,,,0\n",
}


def test_posts_are_interactions_and_retweets_are_ties_only(folder):
    tables = read_source(folder(FILES))
    assert tables.interactions.to_pydict() == {
        "user_id": ["u1", "u1"],
        "item_id": ["AAPL", "C"],
        "timestamp": [1388534400, 1388534400],
        "text": ["buy $AAPL, $C"] * 2,
    }
    assert tables.dropped == {"retweets": 1}
    assert tables.ties.to_pylist() == [
        {"source_id": "u2", "target_id": "u1", "kind": "retweet", "timestamp": 1388620800}
    ]
    assert tables.item_text == ("company", "sector")
    assert tables.item_categories == ("sector",)
    assert (tables.user_text, tables.user_categories) == ((), ("verified",))


def test_retweets_stay_when_asked_for(folder):
    tables = read_source(folder(FILES), options=ReadOptions(keep_retweets=True))
    assert tables.interactions["text"].to_pylist()[-1] == "rt"
    assert tables.dropped == {}


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("interactions.csv", ",p2,", ",p9,", "post_id 'p9' is not in the posts"),
        ("interactions.csv", ",p2,1,", ",p2,yes,", "is_retweet 'yes' is neither 0 nor 1"),
        ("interactions.csv", "p1,0", "p1,1", "all interactions are retweets"),
        ("social.csv", "u2,u1", "u2,u7", "target_id 'u7' is not a known user"),
        ("social.csv", "retweet,", ",", "kind is empty"),
        ("posts.csv", "text", "body", "no column 'text'"),
    ],
)
def test_bad_files_are_refused(folder, refused, name, old, new, words):
    message = str(refused(folder(FILES | {name: FILES[name].replace(old, new)})))
    assert words in message
    assert name in message


def test_rows_without_their_post_are_dropped_when_asked(folder):
    files = FILES | {"interactions.csv": FILES["interactions.csv"].replace("C,2014", ",2014")}
    tables = read_source(folder(files), options=ReadOptions(on_bad_rows="drop"))
    assert tables.dropped == {"interactions: item_id empty": 1, "retweets": 1}
