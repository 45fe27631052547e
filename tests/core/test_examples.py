"""The examples compute what they say, and their descriptions say what they do."""

from __future__ import annotations

import ast
import csv
import json
import math
import os
import random
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lxml import etree

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PERIODOGRAM = EXAMPLES / "periodogram" / "script"
FITSHEADER = EXAMPLES / "fitsheader" / "script"
VOTABLE = "{http://www.ivoa.net/xml/VOTable/v1.3}"
SVG = "{http://www.w3.org/2000/svg}"


def run(command, folder, **values):
    """The script as a job runs it: its values are all that its environment has."""
    environment = {"PATH": os.environ["PATH"], **values}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


def periodogram(folder, **values):
    return run([sys.executable, PERIODOGRAM], folder, **values)


def fitsheader(folder, **values):
    return run(["bash", FITSHEADER], folder, **values)


def progress_of(command, folder, **values):
    """Every state of the progress file that a reader could catch while the script ran."""
    path = folder / "progress"
    seen = []
    environment = {"PATH": os.environ["PATH"], "OPUS_PROGRESS": str(path), **values}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL
    ) as script:
        running = True
        while running:
            running = script.poll() is None
            if path.exists() and (text := path.read_text()) not in seen:
                seen.append(text)
            time.sleep(0.001)
    assert script.returncode == 0
    return seen


def assert_rises_to_100(states):
    assert all(re.fullmatch(r"\d+ .+\n", state) for state in states), states
    percents = [int(state.split()[0]) for state in states]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def assert_refused(ended, script):
    """Exit code 2 and one sentence, without a trace."""
    assert ended.returncode == 2, ended
    assert re.fullmatch(rf"{script}: [^\n]+\n", ended.stderr), ended.stderr
    assert not ended.stdout


# Descriptions


@pytest.mark.parametrize("example", ["periodogram", "fitsheader"])
def test_a_script_reads_every_name_of_its_description_and_writes_every_result(example):
    definition = json.loads((EXAMPLES / example / "definition.json").read_text())
    script = (EXAMPLES / example / "script").read_text()
    assert definition["name"] == example
    for entry in definition["parameters"] + definition["used"] + definition["generated"]:
        assert re.search(rf"\b{entry['name']}\b", script), entry["name"]
    for result in definition["generated"]:
        assert result["default"] in script


def test_the_defaults_of_the_description_are_those_of_the_script(tmp_path):
    definition = json.loads((EXAMPLES / "periodogram" / "definition.json").read_text())
    given = {entry["name"]: entry["default"] for entry in definition["parameters"]}
    assert periodogram(tmp_path, **given).stdout == periodogram(tmp_path).stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        result["default"] for result in definition["generated"]
    }


# The periodogram


def least_squares(times, values, frequency):
    """The power by its other definition: half the variances that a fitted sine takes away."""
    mean = math.fsum(values) / len(values)
    rest = [value - mean for value in values]
    cosines = [math.cos(2 * math.pi * frequency * t) for t in times]
    sines = [math.sin(2 * math.pi * frequency * t) for t in times]

    def dot(left, right):
        return math.fsum(a * b for a, b in zip(left, right, strict=True))

    cc, cs, ss = dot(cosines, cosines), dot(cosines, sines), dot(sines, sines)
    yc, ys = dot(rest, cosines), dot(rest, sines)
    reduction = (yc * yc * ss - 2 * yc * ys * cs + ys * ys * cc) / (cc * ss - cs * cs)
    return reduction / (2 * dot(rest, rest) / (len(rest) - 1))


def sunspots():
    with (EXAMPLES / "periodogram" / "sunspots.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [float(year) for year, _ in rows], [float(number) for _, number in rows]


def uneven_sine(period, *, points=120, span=60.0, noise=0.0, seed=7):
    chance = random.Random(seed)
    times = [chance.uniform(0, span) for _ in range(points)]
    return times, [
        5 + math.sin(2 * math.pi * t / period + 0.4) + chance.gauss(0, noise) for t in times
    ]


def write_table(path, times, values):
    path.write_text("".join(f"{t!r},{v!r}\n" for t, v in zip(times, values, strict=True)))
    return str(path)


def spectrum(folder):
    with (folder / "spectrum.csv").open(newline="") as file:
        return [tuple(map(float, row)) for row in list(csv.reader(file))[1:]]


def strongest(folder):
    return json.loads((folder / "strongest.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run with the defaults, and how it ended."""
    folder = tmp_path_factory.mktemp("periodogram")
    return folder, periodogram(folder)


def test_the_script_carries_the_numbers_of_the_table():
    years, numbers = sunspots()
    assert years == list(range(1700, 2009))
    series = runpy.run_path(str(PERIODOGRAM))["sunspots"]()
    assert (series.times, series.values) == (years, numbers)


def test_the_script_is_for_python_3_6():
    source = PERIODOGRAM.read_text()
    assert source.startswith("#!/usr/bin/env python3\n")
    ast.parse(source, feature_version=(3, 6))


def test_the_sunspots_have_a_period_of_eleven_years(finished):
    folder, ended = finished
    assert ended.returncode == 0
    assert ended.stderr == ""
    result = strongest(folder)
    assert 10.5 < result["period"] < 11.5
    assert result["unit"] == "yr"
    assert result["points"] == 309
    assert result["false_alarm_probability"] < 1e-10
    assert result["at_edge"] is False
    assert ended.stdout.endswith(f"\nstrongest period: {result['period']:.2f} years\n")


def test_the_powers_are_those_of_a_least_squares_fit(finished):
    times, values = sunspots()
    rows = spectrum(finished[0])
    assert rows[0][1] == 100
    assert rows[-1][1] == 2
    for frequency, period, power in rows[:-1:25]:
        assert period == pytest.approx(1 / frequency, rel=1e-8)
        assert power == pytest.approx(least_squares(times, values, frequency), abs=1e-5)


def test_no_frequency_has_more_power_than_the_refined_peak(finished):
    folder, _ = finished
    times, values = sunspots()
    peak = strongest(folder)
    assert peak["power"] >= max(power for _, _, power in spectrum(folder))
    frequency = 1 / peak["period"]
    assert peak["power"] == pytest.approx(least_squares(times, values, frequency), rel=1e-9)
    for beside in (frequency * 0.99999, frequency * 1.00001):
        assert least_squares(times, values, beside) < peak["power"]


def test_at_the_nyquist_frequency_only_the_cosine_counts(finished):
    # Every sine of these times is nothing but rounding error.
    _, values = sunspots()
    mean = math.fsum(values) / len(values)
    rest = [value - mean for value in values]
    alternating = sum(value * (-1) ** n for n, value in enumerate(rest))
    variance = math.fsum(value * value for value in rest) / (len(rest) - 1)
    expected = alternating**2 / len(rest) / (2 * variance)
    assert spectrum(finished[0])[-1][2] == pytest.approx(expected, rel=1e-6)


def test_the_votable_has_the_spectrum_with_units(finished):
    folder, _ = finished
    root = etree.parse(folder / "spectrum.vot").getroot()
    assert root.tag == VOTABLE + "VOTABLE"
    assert root.get("version") == "1.4"
    fields = [
        (f.get("name"), f.get("unit"), f.get("datatype")) for f in root.iter(VOTABLE + "FIELD")
    ]
    assert fields == [
        ("frequency", "yr**-1", "double"),
        ("period", "yr", "double"),
        ("power", None, "double"),
    ]
    assert all(field.get("ucd") for field in root.iter(VOTABLE + "FIELD"))
    rows = [tuple(float(cell.text) for cell in row) for row in root.iter(VOTABLE + "TR")]
    assert rows == spectrum(folder)
    parameters = {p.get("name"): p.get("value") for p in root.iter(VOTABLE + "PARAM")}
    assert float(parameters["strongest_period"]) == strongest(folder)["period"]


def test_the_plot_marks_the_peak_and_needs_no_styles_or_scripts(finished):
    folder, _ = finished
    root = etree.parse(folder / "periodogram.svg").getroot()
    assert root.tag == SVG + "svg"
    texts = [text.text for text in root.iter(SVG + "text")]
    assert f"{strongest(folder)['period']:.2f} yr" in texts
    assert {"2", "5", "10", "20", "50", "100", "period [yr]", "normalised power"} <= set(texts)
    [curve] = root.iter(SVG + "polyline")
    [peak] = root.iter(SVG + "circle")
    points = [tuple(map(float, point.split(","))) for point in curve.get("points").split()]
    assert (float(peak.get("cx")), float(peak.get("cy"))) == min(points, key=lambda point: point[1])
    assert all(0 <= x <= 800 and 0 <= y <= 440 for x, y in points)
    assert not {SVG + "style", SVG + "script"} & {element.tag for element in root.iter()}
    assert not any(name == "style" for element in root.iter() for name in element.attrib)


@pytest.mark.parametrize("period", [0.7, 3.3, 17.0])
def test_an_unevenly_sampled_sine_gives_its_period(tmp_path, period):
    table = write_table(tmp_path / "table", *uneven_sine(period))
    ended = periodogram(tmp_path, table=table, shortest="0.5", longest="40")
    assert ended.returncode == 0
    # With few cycles the leak from negative frequencies moves the top a little.
    assert strongest(tmp_path)["period"] == pytest.approx(period, rel=5e-3)
    assert strongest(tmp_path)["points"] == 120


def test_a_short_period_is_printed_with_as_many_figures(tmp_path):
    table = write_table(tmp_path / "table", *uneven_sine(0.0137, span=3.0))
    ended = periodogram(tmp_path, table=table, shortest="0.01", longest="1")
    assert ended.stdout.endswith("strongest period: 0.0137 years\n")


def test_any_form_of_the_same_table_gives_the_same_answer(tmp_path):
    times, values = uneven_sine(3.3)
    clean = write_table(tmp_path / "clean.csv", times, values)
    rows = [f'"{t!r}" , {v!r},"a, third"\r\n' for t, v in zip(times, values, strict=True)]
    rows[40:40] = ["\r\n", "# a comment, 1\r\n"]
    untidy = tmp_path / "untidy.csv"
    untidy.write_bytes("\ufeff# caf\u00e9\r\n\r\nYEAR,VALUE\r\n".encode() + "".join(rows).encode())
    first = periodogram(tmp_path, table=clean)
    assert first.returncode == 0
    assert periodogram(tmp_path, table=str(untidy)).stdout == first.stdout


def test_rows_with_missing_values_are_left_out_and_counted(tmp_path):
    times, values = uneven_sine(3.3)
    complete = write_table(tmp_path / "complete.csv", times, values)
    periodogram(tmp_path, table=complete)
    expected = strongest(tmp_path)
    gaps = tmp_path / "gaps.csv"
    gaps.write_text(Path(complete).read_text() + "61.5,nan\n62,\n,3\n")
    ended = periodogram(tmp_path, table=str(gaps))
    assert strongest(tmp_path) == expected
    assert "left out: 3 rows" in ended.stdout


def test_order_repeats_and_the_zero_of_time_do_not_matter(tmp_path):
    times, values = uneven_sine(3.3, noise=0.3)
    times, values = times + times[:20], values + values[20:40]
    table = write_table(tmp_path / "table", times, values)
    periodogram(tmp_path, table=table)
    expected = strongest(tmp_path)
    rows = list(zip(times, values, strict=True))
    random.Random(3).shuffle(rows)
    table = write_table(tmp_path / "table", [t + 6711.25 for t, _ in rows], [v for _, v in rows])
    periodogram(tmp_path, table=table)
    assert strongest(tmp_path)["period"] == pytest.approx(expected["period"], rel=1e-6)
    assert strongest(tmp_path)["power"] == pytest.approx(expected["power"], rel=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_very_small_and_very_large_values_do_not_matter(tmp_path, scale):
    times, values = uneven_sine(3.3)
    table = write_table(tmp_path / "table", times, [value * scale for value in values])
    assert periodogram(tmp_path, table=table).returncode == 0
    assert strongest(tmp_path)["period"] == pytest.approx(3.3, rel=2e-3)


def test_four_points_are_enough(tmp_path):
    table = write_table(tmp_path / "table", [0, 1, 2.5, 4], [1, 2, 0, 1])
    assert periodogram(tmp_path, table=table).returncode == 0
    assert 0 <= strongest(tmp_path)["false_alarm_probability"] <= 1
    etree.parse(tmp_path / "periodogram.svg")


@pytest.mark.parametrize(("shortest", "longest"), [("12", "30"), ("5", "10.5"), ("10", "10.001")])
def test_a_peak_at_the_edge_of_the_search_is_called_that(tmp_path, shortest, longest):
    ended = periodogram(tmp_path, shortest=shortest, longest=longest, oversampling="3")
    low, high = float(shortest), float(longest)
    period = strongest(tmp_path)["period"]
    assert low <= period <= high
    at_edge = min(period - low, high - period) < 1e-4
    assert strongest(tmp_path)["at_edge"] is at_edge
    assert ("may lie outside" in ended.stdout) is at_edge
    etree.parse(tmp_path / "periodogram.svg")


def test_noise_raises_as_many_false_alarms_as_the_probability_says():
    names = runpy.run_path(str(PERIODOGRAM))
    chance = random.Random(11)
    search = names["Search"](shortest=1.0, longest=30.0, oversampling=6)
    alarms = 0
    for _ in range(300):
        times = [chance.uniform(0, 30) for _ in range(40)]
        series = names["Series"]("noise", times, [chance.gauss(0, 1) for _ in times])
        frequencies = names["grid"](search, series.span)
        prepared = names["standardised"](series)
        powers = [names["power"](frequency, *prepared) for frequency in frequencies]
        peak = names["highest"](frequencies, powers, *prepared)
        noise = names["noise_of"](series, frequencies)
        assert noise.power(noise.false_alarm(peak.power)) == pytest.approx(peak.power, rel=1e-4)
        alarms += noise.false_alarm(peak.power) < 0.2
    assert 40 <= alarms <= 80  # 60, and three standard deviations to either side


def test_results_are_written_under_the_names_that_the_job_gives_them(tmp_path):
    given = {"plot": "p", "strongest": "s+1", "spectrum_csv": "c", "spectrum_votable": "v_-."}
    assert periodogram(tmp_path, **given).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == set(given.values())


def test_the_progress_of_a_periodogram_rises_to_100(tmp_path):
    states = progress_of([sys.executable, PERIODOGRAM], tmp_path, oversampling="30")
    assert_rises_to_100(states)
    assert len(states) > 10


def test_progress_that_cannot_be_written_stops_nothing(tmp_path):
    assert periodogram(tmp_path, OPUS_PROGRESS="/nowhere/progress").returncode == 0


@pytest.mark.parametrize(
    "values",
    [
        {"shortest": "0"},
        {"shortest": "-2"},
        {"shortest": "nan"},
        {"longest": "inf"},
        {"longest": "a century\n" * 1000},
        {"shortest": "100"},
        {"shortest": "20", "longest": "10"},
        {"oversampling": "0"},
        {"oversampling": "101"},
        {"oversampling": "2.5"},
        {"oversampling": "9" * 5000},
        {"shortest": "1e-6"},
        {"shortest": "1e-320"},
        {"table": "/nowhere/table.csv"},
        {"table": "/"},
    ],
    ids=lambda values: " ".join(f"{name}={value[:12]!r}" for name, value in values.items()),
)
def test_a_bad_value_is_one_sentence(tmp_path, values):
    assert_refused(periodogram(tmp_path, **values), "periodogram")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"year,number\n",
        b"year\n1\n2\n3\n4\n",
        b"1,2\n2,3\n3,4\n",
        b"1,2\n1,3\n1,4\n1,5\n1,6\n",
        b"1,0\n2,0\n3,0\n4,0\n",
        b"1,0.1\n2,0.1\n3,0.1\n4,0.1\n5,0.1\n",
        b"1,2\n2,3\n3,many\n4,5\n5,6\n",
        b"1,2\n2,inf\n3,3\n4,5\n5,6\n",
        b"1,nan\n2,nan\n3,nan\n4,nan\n5,nan\n",
        b"-1e308,2\n2,3\n3,3\n4,5\n1e308,6\n",
        b"1;2\n2;3\n3;4\n4;6\n",
        bytes(range(256)) * 20,
    ],
    ids=lambda table: repr(table[:24]),
)
def test_a_table_of_no_use_is_one_sentence(tmp_path, table):
    path = tmp_path / "table"
    path.write_bytes(table)
    assert_refused(periodogram(tmp_path, table=str(path)), "periodogram")


# The FITS headers


def hdu(*cards, data=b""):
    """A header and its data, each filled up to whole blocks."""
    header = b"".join(card.encode("latin-1").ljust(80) for card in (*cards, "END"))
    return header + b" " * (-len(header) % 2880) + data + b"\0" * (-len(data) % 2880)


def value(keyword, text):
    return f"{keyword:8}= {text:>20}"


PRIMARY = (
    value("SIMPLE", "T"),
    value("BITPIX", "-32"),
    value("NAXIS", "2"),
    value("NAXIS1", "30"),
    value("NAXIS2", "50"),
    "OBJECT  = 'M 31    '           / the Andromeda galaxy",
)
TABLE = (
    "XTENSION= 'BINTABLE'",
    value("BITPIX", "8"),
    value("NAXIS", "2"),
    value("NAXIS1", "8"),
    value("NAXIS2", "400"),
    value("PCOUNT", "2881"),
    value("GCOUNT", "1"),
    "EXTNAME = 'EVENTS  '           / none of these objects is M 31",
)
# Data that look like a header must not be taken for one.
DECOY = (hdu(*TABLE)[:5999] + b"\n").ljust(6000, b"\n")


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.fits"
    path.write_bytes(
        hdu(*PRIMARY, data=DECOY)
        + hdu(*TABLE, data=b"\xff" * 6081)
        + hdu("XTENSION= 'IMAGE   '", value("BITPIX", "16"), value("NAXIS", "0"))
    )
    return str(path)


def test_a_script_without_a_first_line_has_none():
    assert not FITSHEADER.read_text().startswith("#!")


def test_every_header_is_written_out(tmp_path, image):
    ended = fitsheader(tmp_path, image=image)
    assert ended.returncode == 0
    assert ended.stderr == ""
    lines = (tmp_path / "headers.txt").read_text().splitlines()
    assert lines[:8] == ["# header 0", *PRIMARY, "END"]
    assert lines[8:18] == ["# header 1", *TABLE, "END"]
    assert lines[18] == "# header 2"
    assert len(lines) == 18 + 1 + 4
    assert ended.stdout == "headers: 3\ncards: 20\ncards with the text: 2\n"


def test_the_cards_with_the_text_are_found_in_either_case(tmp_path, image):
    assert fitsheader(tmp_path, image=image, text="m 31").returncode == 0
    assert (tmp_path / "matches.txt").read_text().splitlines() == [
        f"[0] {PRIMARY[-1]}",
        f"[1] {TABLE[-1]}",
    ]


def test_an_empty_text_finds_every_card(tmp_path, image):
    fitsheader(tmp_path, image=image, text="")
    assert len((tmp_path / "matches.txt").read_text().splitlines()) == 20


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "[A-Z]",
        "?",
        "\\",
        "'",
        '"',
        "$(touch stolen)",
        "`touch stolen`",
        "; touch stolen #",
        "a[$(touch stolen)]",
        "${IFS}",
        "-n",
        "%s%n",
        "line\nend",
        "\u202egalaxy",
        "\udcff\udcfe",
        "../../etc/passwd",
    ],
)
def test_a_text_is_never_a_pattern_or_a_command(tmp_path, text):
    path = tmp_path / "image.fits"
    literal = text if text.isascii() and text.isprintable() else "absent"
    path.write_bytes(hdu(value("SIMPLE", "T"), value("NAXIS", "0"), f"COMMENT {literal}"))
    ended = fitsheader(tmp_path, image=str(path), text=text)
    assert ended.returncode == 0
    assert ended.stderr == ""
    expected = [] if literal == "absent" else [f"[0] COMMENT {literal}"]
    found = (tmp_path / "matches.txt").read_text().splitlines()
    assert [line for line in found if "COMMENT" in line] == expected
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize(
    "name",
    ["a b.fits", "-rf", "$(touch stolen).fits", "a\nb", "'\"`", "*", "\u202e.fits", "\udcff"],
)
def test_an_image_may_have_any_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(hdu(*PRIMARY, data=DECOY))
    for given in (name, str(path)):
        ended = fitsheader(tmp_path, image=given)
        assert ended.returncode == 0
        assert ended.stdout.startswith("headers: 1\n")
    assert not (tmp_path / "stolen").exists()


def test_what_is_not_ascii_becomes_a_question_mark(tmp_path):
    path = tmp_path / "image.fits"
    path.write_bytes(hdu(value("SIMPLE", "T"), value("NAXIS", "0"), "HISTORY a\nb\0c\x1b[2J\xe9"))
    assert fitsheader(tmp_path, image=str(path)).returncode == 0
    assert "HISTORY a?b?c?[2J?\n" in (tmp_path / "headers.txt").read_text()


def test_bytes_after_the_last_extension_are_counted_not_read(tmp_path, image):
    with Path(image).open("ab") as file:
        file.write(b"junk" * 60)
    assert "bytes that are no extension: 240\n" in fitsheader(tmp_path, image=image).stdout


def test_headers_are_written_under_the_names_that_the_job_gives_them(tmp_path, image):
    (tmp_path / "work").mkdir()
    assert fitsheader(tmp_path / "work", image=image, headers="h", matches="m").returncode == 0
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"h", "m"}


def test_the_progress_of_reading_headers_rises_to_100(tmp_path):
    path = tmp_path / "image.fits"
    path.write_bytes(hdu(*PRIMARY, data=DECOY) + 60 * hdu(*TABLE, data=b"\xff" * 6081))
    states = progress_of(["bash", FITSHEADER], tmp_path, image=str(path))
    assert_rises_to_100(states)
    assert len(states) > 10


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"SIMPLE",
        b"year,number\n1,2\n",
        hdu(*TABLE),
        b"".join(card.encode().ljust(80) for card in PRIMARY),
        hdu(PRIMARY[0], value("BITPIX", "a[$(touch stolen)]")),
        hdu(PRIMARY[0], value("BITPIX", "8"), value("NAXIS", "1"), value("NAXIS1", "PATH")),
        hdu(PRIMARY[0], value("BITPIX", "8"), value("NAXIS", "1"), value("NAXIS1", "12345678901")),
        hdu(PRIMARY[0], value("BITPIX", "9999999999"), value("NAXIS", "")),
    ],
    ids=lambda content: repr(content[:6] + content[80:110]),
)
def test_an_image_of_no_use_is_one_sentence(tmp_path, content):
    path = tmp_path / "image.fits"
    path.write_bytes(content)
    assert_refused(fitsheader(tmp_path, image=str(path)), "fitsheader")
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize(
    "values",
    [{}, {"image": ""}, {"image": "/nowhere/image.fits"}, {"image": "/"}],
    ids=str,
)
def test_a_missing_image_is_one_sentence(tmp_path, values):
    assert_refused(fitsheader(tmp_path, **values), "fitsheader")


@pytest.mark.parametrize("values", [{"text": "x" * 81}, {"text_FILE": "/some/path"}], ids=str)
def test_a_text_longer_than_a_card_is_one_sentence(tmp_path, image, values):
    assert_refused(fitsheader(tmp_path, image=image, **values), "fitsheader")
