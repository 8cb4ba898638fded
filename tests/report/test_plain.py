import pytest

from toolkit.report.plain import plain, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv1/weight", "conv1/weight"),
        ("größe 中文", "größe 中文"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb\u2066c\u200bd", "a\\u202eb\\u2066c\\u200bd"),
        ("a\r\nb\tc\u2028d\xa0e", "a  b c d e"),
        ("lone \udc80", "lone \\udc80"),
        ("\x00\x07\x7f", "\\x00\\x07\\x7f"),
        ("", ""),
    ],
)
def test_the_invisible_is_spelled_out(text, shown):
    assert plain(text) == shown


def test_every_character_comes_out_printable():
    for code in range(0x110000):
        shown = plain(chr(code))
        assert shown.isprintable(), hex(code)


def test_long_names_keep_both_ends():
    assert shortened("encoder.layers.11.attention.output", 20) == "encoder.l...n.output"
    assert len(shortened("x" * 100, 16)) == 16
    assert shortened("short", 5) == "short"
