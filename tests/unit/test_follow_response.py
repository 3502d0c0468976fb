"""Categories of RECIST 1.1, each from sums worked out by hand."""

import math
from dataclasses import replace

import pytest

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.follow.records import DecisionRow, LesionRow, MeasurementRow
from anatomical_embedding.follow.response import Target, assess_response, choose_targets, read_targets
from anatomical_embedding.follow.words import size_words, sum_words

NOWHERE = (math.nan,) * 3
NOW = "2026-03-31T09:30:00+00:00"


def lesion(number, visit, state, related=(), mask="none"):
    return LesionRow(
        lesion=number, visit=visit, date=None, state=state, probability=math.nan, radius_mm=math.nan,
        point_mm=NOWHERE, how="given", disagreement_mm=math.nan, refined="", mask=mask, related=related,
        label="", note="",
    )  # fmt: skip


def measured(number, visit, long_mm, short_mm=None, *, parts_mm=()):
    short_mm = long_mm / 2 if short_mm is None else short_mm
    return MeasurementRow(
        number, visit, 1.0, long_mm, short_mm, *[NOWHERE] * 4, mean=0.0, sd=1.0,
        part_long_axes_mm=parts_mm, part_short_axes_mm=tuple(part_mm / 2 for part_mm in parts_mm),
    )  # fmt: skip


def at_the_last_of_two(targets, rows, sizes):
    """Return the response at visit b, after visit a."""
    _, found = assess_response(
        targets, slice_mm=5.0, visits=["a", "b"], lesions=rows, measurements=sizes, decisions=[]
    )
    return found


def responses(table, *, targets=(1, 2), nodes=(), decisions=()):
    """Return the responses of a table visit -> {lesion: size, or state, or (state, related, size)}."""
    rows, sizes = [], []
    for visit, found in table.items():
        for number, what in found.items():
            state, related, size = what if isinstance(what, tuple) else (None, (), what)
            if isinstance(size, str):
                state, size = size, None
            rows.append(lesion(number, visit, state or "present", related))
            if size is not None:
                sizes.append(measured(number, visit, size if number not in nodes else 30.0, size))
    return assess_response(
        [Target(number, is_node=number in nodes) for number in targets],
        slice_mm=5.0,
        visits=list(table),
        lesions=rows,
        measurements=sizes,
        decisions=list(decisions),
    )


@pytest.mark.parametrize(
    ("table", "expected", "change"),
    [
        # 40 + 20 = 60 mm; 42 is exactly 30 % less.
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: 30.0, 2: 12.0}}, "PR", -0.30),
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: 30.0, 2: 12.5}}, "SD", -0.2917),
        # 72 is exactly 20 % more, and 12 mm.
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: 50.0, 2: 22.0}}, "PD", 0.20),
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: 49.0, 2: 22.0}}, "SD", 0.1833),
        # 24 mm of 20: 20 % more but 4 mm only.
        ({"a": {1: 10.0, 2: 10.0}, "b": {1: 12.0, 2: 12.0}}, "SD", 0.20),
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: "gone", 2: "gone"}}, "CR", -1.0),
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: "gone", 2: 20.0}}, "PR", -0.6667),
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: "out_of_view", 2: 20.0}}, "NE", math.nan),
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: ("review", (), 40.0), 2: 20.0}}, "NE", math.nan),
        # Lesion 2 alone has 75 mm, more than 60 * 1.2.
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: "out_of_view", 2: 75.0}}, "PD", math.nan),
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: 10.0, 2: 10.0, 3: ("new", (), 6.0)}}, "PD", -0.6667),
        # Both end in one mask of 45 mm, which counts once: 45 of 60 mm.
        ({"a": {1: 40.0, 2: 20.0}, "b": {1: ("merged", (2,), 45.0), 2: ("merged", (1,), 45.0)}}, "SD", -0.25),
    ],
)  # fmt: skip
def test_categories_at_their_borders(table, expected, change):
    baseline, found = responses(table)
    assert (baseline.category, baseline.sum_mm) == ("baseline", sum(table["a"].values()))
    assert found.category == expected
    assert found.from_baseline == pytest.approx(change, abs=1e-4, nan_ok=True)


def test_growth_counts_from_the_smallest_sum():
    """60, 30, 36 mm: less than the baseline by 40 %, and yet 20 % and 6 mm more than the smallest sum."""
    table = {"a": {1: 40.0, 2: 20.0}, "b": {1: 20.0, 2: 10.0}, "c": {1: 24.0, 2: 12.0}}
    assert [found.category for found in responses(table)] == ["baseline", "PR", "PD"]
    assert responses(table)[2].from_nadir == pytest.approx(0.20)


def test_a_visit_that_was_not_assessed_is_no_smallest_sum():
    table = {"a": {1: 40.0, 2: 20.0}, "b": {1: "out_of_view", 2: 10.0}, "c": {1: 40.0, 2: 20.0}}
    assert [found.category for found in responses(table)] == ["baseline", "NE", "SD"]


def test_what_came_back_from_nothing_progresses():
    table = {"a": {1: 40.0, 2: 20.0}, "b": {1: "gone", 2: "gone"}, "c": {1: 6.0, 2: "gone"}}
    assert [found.category for found in responses(table)] == ["baseline", "CR", "PD"]


def test_a_new_lesion_means_progression_until_it_is_gone():
    table = {"a": {1: 40.0}, "b": {1: 40.0, 3: "new"}, "c": {1: 40.0, 3: 5.0}, "d": {1: 40.0, 3: "gone"}}
    assert [found.category for found in responses(table, targets=(1,))] == ["baseline", "PD", "PD", "SD"]


def test_nodes_count_with_their_short_axis_and_are_normal_below_10_mm():
    table = {"a": {1: 20.0, 2: 16.0}, "b": {1: "gone", 2: 9.9}, "c": {1: "gone", 2: 10.0}}
    found = responses(table, nodes=(2,))
    assert [each.sum_mm for each in found] == [36.0, 9.9, 10.0]
    assert [each.category for each in found] == ["baseline", "CR", "PR"]


def test_the_last_decision_of_the_reader_stands():
    table = {"a": {1: 40.0}, "b": {1: ("review", (), 20.0)}}

    def decided(*actions):
        rows = [DecisionRow(NOW, "reader", 1, "b", action, NOWHERE) for action in actions]
        return responses(table, targets=(1,), decisions=rows)[1].category

    assert decided() == "NE"
    assert decided("accept") == "PR"
    assert decided("accept", "reject") == "NE"


def test_targets_are_the_largest_that_can_be_measured():
    rows = [measured(number, "a", size) for number, size in enumerate((9.9, 30, 10, 25, 40, 35, 20), start=1)]
    assert [target.lesion for target in choose_targets(rows, slice_mm=5.0)] == [2, 4, 5, 6, 7]
    # Slices of 12 mm: lesions of 24 mm and more.
    assert [target.lesion for target in choose_targets(rows, slice_mm=12.0)] == [2, 4, 5, 6]


def test_chosen_targets_keep_to_the_rule(tmp_path):
    path = tmp_path / "targets.csv"
    path.write_text("lesion,organ,kind\n3,liver,lesion\n1,,node\n", encoding="utf-8")
    assert read_targets(path) == [Target(3, "liver"), Target(1, "", is_node=True)]
    path.write_text(
        "lesion;organ;kind\r\n3;liver;lesion\r\n1;;node\r\n", encoding="utf-8-sig"
    )  # as spreadsheets do
    assert read_targets(path) == [Target(3, "liver"), Target(1, "", is_node=True)]
    path.write_text("lesion,organ,kind\n" + "".join(f"{n},,lesion\n" for n in range(1, 7)), encoding="utf-8")
    with pytest.raises(UserError, match=r"names 6 targets, RECIST 1\.1 takes at most 5"):
        read_targets(path)
    path.write_text(
        "lesion,organ,kind\n" + "".join(f"{n},liver,lesion\n" for n in (1, 2, 3)), encoding="utf-8"
    )
    with pytest.raises(UserError, match="names 3 targets in 'liver'"):
        read_targets(path)
    path.write_text("lesion,organ,kind\n1,Liver,lesion\n2,liver ,lesion\n3,LIVER,lesion\n", encoding="utf-8")
    with pytest.raises(UserError, match="names 3 targets in 'Liver'"):
        read_targets(path)
    path.write_text("lesion,organ,kind\n", encoding="utf-8")
    with pytest.raises(UserError, match="names no target; name one or more, or remove the file"):
        read_targets(path)
    path.write_text("lesion,organ,kind\n1,liver,mass\n", encoding="utf-8")
    with pytest.raises(InputFileError, match="line 2, kind: expected one of lesion, node"):
        read_targets(path)


@pytest.mark.parametrize(
    ("state", "is_node", "expected"),
    [
        ("split", False, 17.0 + 13.0),
        ("present", False, 17.0),
        ("split", True, 8.5 + 6.5),
        ("present", True, 8.5),
    ],
)
def test_the_parts_of_a_lesion_that_split_are_added(state, is_node, expected):
    """RECIST 1.1, appendix II: the longest diameters of the parts of a lesion that fragments."""
    rows = [lesion(1, "a", "given"), lesion(1, "b", state)]
    sizes = [measured(1, "a", 30.0), measured(1, "b", 17.0, parts_mm=(17.0, 13.0))]
    found = at_the_last_of_two([Target(1, is_node=is_node)], rows, sizes)
    assert found.sum_mm == expected


@pytest.mark.parametrize("targets", [(1, 2), (2, 1), (1,), (2,)])
@pytest.mark.parametrize("numbered", [1, 2])
def test_lesions_that_merged_count_once_with_the_one_mask_of_both(targets, numbered):
    """It has the number of either, and a target may be the other; 45 mm from 40 and 20."""
    rows = [lesion(number, "a", "given") for number in (1, 2)]
    rows += [lesion(number, "b", "merged", (3 - number,)) for number in (1, 2)]
    sizes = [measured(1, "a", 40.0), measured(2, "a", 20.0), measured(numbered, "b", 45.0)]
    found = at_the_last_of_two([Target(number) for number in targets], rows, sizes)
    assert (found.sum_mm, found.is_whole) == (45.0, True)


def test_three_that_merged_one_by_one_count_once():
    """The middle one is no target, and alone has merged with both."""
    rows = [lesion(number, "a", "given") for number in (1, 2, 3)]
    rows += [
        lesion(number, "b", "merged", related) for number, related in ((1, (2,)), (2, (1, 3)), (3, (2,)))
    ]
    sizes = [*(measured(number, "a", 20.0) for number in (1, 2, 3)), measured(1, "b", 50.0)]
    found = at_the_last_of_two([Target(1), Target(3)], rows, sizes)
    assert found.sum_mm == 50.0


@pytest.mark.parametrize(("mask", "expected"), [("corrected", 18.0 + 12.0), ("fitted", 18.0)])
def test_a_corrected_mask_keeps_lesions_apart_that_look_like_one(mask, expected):
    rows = [lesion(number, "a", "given") for number in (1, 2)]
    rows += [lesion(number, "b", "merged", (3 - number,), mask=mask) for number in (1, 2)]
    sizes = [measured(number, visit, size) for visit in "ab" for number, size in ((1, 18.0), (2, 12.0))]
    found = at_the_last_of_two([Target(1), Target(2)], rows, sizes)
    assert found.sum_mm == expected


def test_the_baseline_names_targets_that_are_too_small_for_the_rule():
    """10 mm for lesions, 15 mm for the short axis of nodes (RECIST 1.1, 3.1 and 4.2)."""
    sizes = {1: 10.0, 2: 15.0, 3: 9.9, 4: 14.9}
    found = responses({"a": sizes, "b": sizes}, targets=sizes, nodes=(2, 4))
    assert [each.reason.partition("; ")[2] for each in found] == [
        "smaller than the rule measures: target 3, 4",
        "",
    ]
    assert found[0].sum_mm == sum(sizes.values())


def test_a_target_without_a_baseline_is_named():
    with pytest.raises(UserError, match=r"targets\.csv: lesion 2 has no measurement at a, the baseline"):
        responses({"a": {1: 40.0}, "b": {1: 20.0, 2: 20.0}})


def test_a_target_whose_size_the_scan_does_not_tell_is_named_beside_the_sum():
    """Lesion 3 is not in the sum, since it waits for review; lesion 4 is no target."""
    rows = [lesion(number, visit, "present") for visit in ("a", "b") for number in (1, 2, 3, 4)]
    rows = [replace(row, mask="carried") if row.visit == "b" and row.lesion != 1 else row for row in rows]
    rows = [replace(row, state="review") if (row.lesion, row.visit) == (3, "b") else row for row in rows]
    sizes = [measured(number, visit, 20.0) for visit in ("a", "b") for number in (1, 2, 3, 4)]
    targets = [Target(number) for number in (1, 2, 3)]
    _, found = assess_response(
        targets, slice_mm=5.0, visits=["a", "b"], lesions=rows, measurements=sizes, decisions=[]
    )
    assert found.untold == (2,)
    assert found.reason == (
        "not assessed: target 3; with the size of another visit, since the scan does not tell it: target 2"
    )
    assert sum_words(found) == "40.0 mm, not whole, 1 not told by the scan"
    said = [
        size_words(measured(2, "b", 20.0), lesion(2, "b", "present", mask=mask))
        for mask in ("carried", "grown")
    ]
    assert said == ["20.0 x 10.0 mm, 1 ml, size not told by the scan", "20.0 x 10.0 mm, 1 ml"]
    parts = measured(2, "b", 17.0, parts_mm=(17.0, 13.0))
    assert size_words(parts, lesion(2, "b", "split")) == "17.0 + 13.0 mm, 1 ml"
    assert size_words(parts, lesion(2, "b", "present")) == "17.0 x 8.5 mm, 1 ml"
