"""The page: nothing is lost, nothing gets out of its text, nothing is fetched."""

import re
from html import unescape
from html.parser import HTMLParser

from pages import make_page

from finrec_dgl.benchmarking.page import render

VOID = {"meta", "br", "rect", "path", "polyline", "circle"}


class Reader(HTMLParser):
    """Collects tags and texts, and whether every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def said():
    """Every text that ``make_page`` puts in."""
    texts = []
    make_page(lambda text: (texts.append(text), text)[1])
    return texts


def test_everything_is_on_the_page():
    """Catches a part of the outcome that is computed and never shown."""
    shown = " ".join(Reader(render(make_page())).texts)
    for text in said():
        assert text in shown, text
    for figure in ("3.250", "1.500", "0.2222"):
        assert figure in shown


def test_texts_stay_texts():
    """Catches a title or an id that ends its tag, its attribute or the style sheet."""
    bad = "</style><script>alert(1)</script><img src=x onerror='x' \"a\" & b>"
    text = render(make_page(lambda text: bad + text))
    reader = Reader(text)
    assert not {"script", "img"} & set(reader.tags)
    assert not any(name.startswith("on") for _, name, _ in reader.attributes)
    assert bad + "Bond fund" in "".join(reader.texts)
    assert reader.tags.count("style") == 1
    # and no text is escaped twice
    assert unescape(text).count("&amp;") == 0


def test_the_page_stands_alone():
    """Catches a font, a script or a picture that would be fetched when the page is opened."""
    text = render(make_page())
    assert not re.search(r"https?:|//|url\(|@import|<link|<script|<iframe|<img", text)
    reader = Reader(text)
    assert not [
        one for one in reader.attributes if one[1] in {"src", "href", "style", "xlink:href"}
    ]
    assert "prefers-color-scheme: dark" in text


def test_a_page_of_little_can_be_drawn():
    """Catches a division by zero or a maximum of nothing where there is little to show."""
    from dataclasses import replace

    page = make_page()
    bare = replace(
        page,
        facts=[],
        popularity=[],
        rows=[],
        bars=[],
        notes=[],
        curves={},
        customer=replace(page.customer, holdings=[], known=[], suggestions=[]),
        commands=[],
    )
    Reader(render(bare))
    Reader(render(replace(page, curves={"flat": [(0.0, 0.0)]}, popularity=[1.0])))
