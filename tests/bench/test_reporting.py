"""What is made of measured values: ratios, verdicts, tables, the page, its picture, and JSON."""

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import __main__ as program
from bench import limits, picture, report
from bench.comparison import Comparison, Measure, Measured, Side
from bench.drain import OURS, XARGS
from bench.figures import Result, Target, at_least, at_most, number
from bench.report import Report
from bench.scale import FULL, QUICK, USUAL
from bench.survey import Surveyed, median, percentile
from bench.workplace import ROOT


def drained() -> Measured:
    """Return three rounds of a drain; the peer has run a tenth of the jobs."""
    target = at_least(1.1)
    ours = Side(name=OURS, records="all", run=float, targets={XARGS: target})
    xargs = Side(name=XARGS, records="nothing", run=float)
    peer = Side(name="a <peer>", records="a mark", run=float, items=10)
    comparison = Comparison(title="drain", items=100, measure=Measure.RATE, rounds=3, ours=[ours], others=[xargs, peer])
    return Measured(comparison, {OURS: [1.0, 1.0, 2.0], XARGS: [1.2, 0.9, 2.4], "a <peer>": [0.2, 0.2, 0.2]})


def limited() -> Surveyed:
    """Return what the group ``limits`` finds."""
    return Surveyed(
        "the store",
        [
            median(f"{limits.VERBS} 2 processes that run nothing", [4000.0], "jobs a second"),
            median(f"{limits.VERBS} 64 processes that run nothing", [900.0], "jobs a second"),
            median(f"{limits.FILE} (from 10)", [480.0], "MB"),
            median(f"{limits.LOADING} (from 10)", [2.5], "s"),
        ],
    )


def all_of_it() -> Report:
    groups: dict[str, list[Result]] = {"drain": [drained()], "limits": [limited()]}
    return Report("2 cores", "make bench", groups, ["nq"])


def test_a_ratio_is_the_median_of_rounds_and_counts_per_job() -> None:
    to_xargs, to_peer = drained().figures()
    assert to_xargs.value == pytest.approx(1.2)
    assert to_xargs.verdict == "met"
    assert to_peer.value == pytest.approx(2.0)
    assert (to_peer.verdict, to_peer.beside) == ("", "a <peer>")


def test_a_time_is_the_worse_the_higher() -> None:
    ours = Side(name="ours", records="", run=float, target=at_most(1.5))
    other = Side(name="other", records="", run=float)
    comparison = Comparison(title="t", items=1, measure=Measure.TIME, rounds=1, ours=[ours], others=[other])
    (figure,) = Measured(comparison, {"ours": [3.0], "other": [1.0]}).figures()
    assert (figure.value, figure.verdict) == (3.0, "not met")


def test_the_first_round_does_not_count() -> None:
    seconds = iter([100.0, 1.0, 2.0])
    side = Side(name="ours", records="", run=lambda: next(seconds))
    comparison = Comparison(title="t", items=1, measure=Measure.TIME, rounds=2, ours=[side], others=[])
    assert comparison.run(lambda _: None).raw() == {"ours": [1.0, 2.0]}


@pytest.mark.parametrize(
    "target, value, is_met",
    [
        (at_least(1.1), 1.1, True),
        (at_least(1.1), 1.0951, True),  # which is shown as 1.10
        (at_least(1.1), 1.094, False),
        (at_most(3), 3.004, True),
        (at_most(3), 3.006, False),
        (at_most(60), 160.0, False),
    ],
)
def test_a_verdict_agrees_with_what_is_shown(target: Target, value: float, is_met: bool) -> None:
    assert target.is_met(value) is is_met


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile("", values, 0.5, "ms").value == 51
    assert percentile("", values, 0.95, "ms").value == 96
    assert percentile("", [7.0], 0.95, "ms").value == 7


def test_numbers_have_as_many_digits_as_are_worth_reading() -> None:
    assert [number(value) for value in (0.954, 12.0, 480.25, 4000.4)] == ["0.95", "12.00", "480.2", "4000"]


def test_the_printed_report_begins_with_the_targets() -> None:
    text = all_of_it().text()
    assert "Not installed, so not measured: nq." in text
    row = next(line for line in text.splitlines() if "≥ 1.1" in line)
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "drain",
        f"**1.20** × the rate of {XARGS}",
        "0.90 – 1.20 (3)",
        "≥ 1.1",
        "met",
    ]


def test_the_page_gets_results_limits_and_picture_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text((ROOT / "docs" / "performance.md").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    before = page.read_text(encoding="utf-8").partition(report.LIMITS_BEGIN)[0].partition(report.BEGIN)[0]
    all_of_it().write(page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(before)
    assert text.count("(pictures/performance.svg)") == 1
    assert "at most 4,000 jobs a second, to 2 processes" in text
    assert "64 processes that run nothing: 900 jobs a second" in text
    assert "480 MB" in text
    all_of_it().write(page)
    assert page.read_text(encoding="utf-8") == text


def test_the_picture_is_sound() -> None:
    """It is XML, tells those who cannot see it what it shows, loads nothing, and has a bar for each side."""
    text = picture.of_rates(drained())
    image = ET.fromstring(text)  # noqa: S314 - our own
    svg = "{http://www.w3.org/2000/svg}"
    assert (image.findtext(f"{svg}title") or "").startswith("Commands a second ÷ xargs")
    words = [line.text for line in image.iter(f"{svg}text")][1:]
    assert words == [OURS, "1.20", XARGS.strip("`"), "1.00", "a <peer>", "0.60"]
    assert "prefers-color-scheme: dark" in text
    for forbidden in ("<script", "href", "@import", "url("):
        assert forbidden not in text


def test_json_has_every_value() -> None:
    content = json.loads(all_of_it().as_json())
    assert content["missing"] == ["nq"]
    (result,) = content["groups"]["drain"]
    assert result["raw"][OURS] == [1.0, 1.0, 2.0]
    assert (result["figures"][0]["target"], result["figures"][0]["verdict"]) == ("≥ 1.1", "met")


def test_the_sizes_of_the_targets_are_measured_in_full() -> None:
    assert FULL.sizes == (100_000, 1_000_000)
    assert (FULL.drain_jobs, USUAL.drain_jobs) == (3_000, 3_000)
    assert (FULL.crowds, FULL.idle_s, FULL.output_bytes) == ((8, 16), 600, 1_000_000_000)
    assert min(FULL.rounds, FULL.short_rounds, USUAL.rounds, USUAL.short_rounds) >= 5
    assert min(FULL.latencies, USUAL.latencies) >= 200
    assert QUICK.sizes == (20_000,)


def test_the_program_prints_and_writes_what_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Ready:
        title = "ready"

        def run(self, _: object) -> Measured:
            return drained()

    monkeypatch.setattr(program, "GROUPS", {"ready": lambda *_: iter([Ready()])})
    monkeypatch.setattr("bench.workplace.file_system", lambda _: "ext4")
    file = tmp_path / "values.json"
    monkeypatch.setattr(sys, "argv", ["bench", "ready", "--folder", str(tmp_path), "--json", str(file)])
    assert program.main() == 0
    assert "**1.20** × the rate of" in capsys.readouterr().out
    assert json.loads(file.read_text(encoding="utf-8"))["groups"]["ready"][0]["title"] == "drain"


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["nothing"], 'no group "nothing"'),
        (["drain", "--write"], "--write"),
        (["--quick", "--write"], "--write"),
        (["--quick", "--full"], "not allowed with"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit):
        program.main()
    assert complaint in capsys.readouterr().err


def test_a_folder_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.workplace.file_system", lambda _: "tmpfs")
    monkeypatch.setattr(sys, "argv", ["bench", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit, match="tmpfs"):
        program.main()
