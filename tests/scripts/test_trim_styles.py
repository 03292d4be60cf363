"""The style sheet of the pages has all that they use, and not much else."""

import gzip

from scripts import trim_styles
from scripts.trim_styles import TARGET, Used, parse, trim, without_unasked

USED = Used(frozenset({"card", "show", "spin", "data-theme"}), ("alert-",))


def trimmed(css, elsewhere=""):
    return "".join(rule.css() for rule in without_unasked(list(trim(parse(css), USED)), elsewhere))


def test_no_page_lacks_a_rule():
    assert trim_styles.missing() == [], "run scripts/trim_styles.py"


def test_it_is_packed_and_small():
    assert gzip.decompress(TARGET.with_name("tabler.css.gz").read_bytes()) == TARGET.read_bytes()
    assert TARGET.with_name("tabler.css.gz").stat().st_size < 30_000


def test_what_the_licence_says_stays():
    assert "Licensed under MIT" in TARGET.read_text()


def test_what_cannot_match_goes():
    assert trimmed("a{color:red}.card,.gone{top:0}.card .gone{top:1px}") == "a{color:red}.card{top:0}"
    assert trimmed(".card.show>.alert-info{top:0}.alerts{top:0}") == ".card.show>.alert-info{top:0}"
    assert trimmed(".card:not(.gone):is(.x,.y){top:0}") == ".card:not(.gone):is(.x,.y){top:0}"
    assert trimmed("[data-theme=dark] a{top:0}[data-gone] a{top:0}") == "[data-theme=dark] a{top:0}"
    assert trimmed(".\\31 card{top:0}") == ""


def test_inside_of_conditions_too():
    assert trimmed("@media print{.gone{top:0}}@media (width>1px){.gone{top:0}.card{top:0}}") == (
        "@media (width>1px){.card{top:0}}"
    )


def test_texts_with_braces_and_comments():
    css = '/* .x{ */.card:before{content:"};{";background:url(data:image/svg+xml;x{}y)}.gone{top:0}'
    assert trimmed(css) == '.card:before{content:"};{";background:url(data:image/svg+xml;x{}y)}'


def test_custom_properties_and_keyframes_that_nothing_asks_for():
    css = (
        ":root{--a:1;--b:var(--c);--c:2;--d:3}.card{top:var(--b);animation:spin 1s}@keyframes spin{to{top:0}}"
    )
    assert trimmed(css + "@keyframes gone{to{top:0}}.gone{top:var(--a)}", "left: var(--d)") == (
        ":root{--b:var(--c);--c:2;--d:3}.card{top:var(--b);animation:spin 1s}@keyframes spin{to{top:0}}"
    )
