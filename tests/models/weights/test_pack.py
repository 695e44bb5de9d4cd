"""Offline packs and files brought by hand: what is carried arrives whole, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from histoprompt.core import settings
from histoprompt.core.errors import Cancelled, LicenceError, WeightsError
from histoprompt.core.task import Task
from histoprompt.models import registry, weights
from histoprompt.models.card import ModelCard, Terms, WeightsSpec, on_hub
from histoprompt.models.weights import licence
from histoprompt.models.weights.find import partial_path
from histoprompt.models.weights.pack import export_pack, import_file, import_pack
from histoprompt.models.weights.pack_format import is_pack, opened

NET, WORDS, TEXT = b"PK\x03\x04" + b"net" * 999, b"a b c", b"PK\x03\x04" + b"text" * 999


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def card_of(name: str, content: bytes, *others: WeightsSpec, terms: Terms | None = None):
    spec = WeightsSpec(f"{name}.pth", "https://example.org", len(content), digest(content))
    return ModelCard(
        name, "prompt", name, "m:f", licence="MIT", weights=spec, others=others, terms=terms
    )


WORDS_SPEC = WeightsSpec("words.txt", "https://example.org")
A = card_of("a", NET, WORDS_SPEC)
B = replace(card_of("b", TEXT), weights=on_hub("owner/b", "model.safetensors", "main"))
CONTENTS = {"a.pth": NET, "words.txt": WORDS, "owner--b/model.safetensors": TEXT}


@pytest.fixture(autouse=True)
def go_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Work on another machine."""

    def go(name: str) -> None:
        monkeypatch.setenv(settings.HOME_VARIABLE, str(tmp_path / name))

    go("connected")
    for place, content in CONTENTS.items():
        path = settings.weights_folder() / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return go


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    export_pack([A, B], tmp_path / "to carry.pack")
    return tmp_path / "to carry.pack"


def placed() -> dict[str, bytes]:
    """What lies in the weights folder."""
    folder = settings.weights_folder()
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {k: p.read_bytes() for k, p in found.items() if not k.endswith(".lock")}


def test_a_pack_carries_all_files_to_another_machine(pack: Path, go_to: Any) -> None:
    go_to("offline")
    checked = import_pack(pack, [A, B])
    assert placed() == CONTENTS
    assert [v.state for v in checked] == ["published", "pinned", "pinned"]
    assert weights.locate(A).present
    assert weights.resolve(B) == settings.weights_folder() / "owner--b" / "model.safetensors"


def test_a_pack_says_what_is_in_it_and_under_which_licence(pack: Path) -> None:
    with opened(pack) as found:
        assert found.models() == ["a", "b"]
        assert found.files()["a.pth"].sha256 == digest(NET)
    with zipfile.ZipFile(pack) as archive:
        assert "MIT" in archive.read("licences/a.txt").decode()
        assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
    assert is_pack(pack)


def test_part_of_a_pack_can_be_taken(pack: Path, go_to: Any) -> None:
    go_to("offline")
    import_pack(pack, [B])
    assert placed() == {"owner--b/model.safetensors": TEXT}


def test_a_pack_is_not_mistaken_for_weights_nor_weights_for_a_pack(tmp_path: Path) -> None:
    import torch

    torch.save({"a": torch.zeros(2)}, tmp_path / "net.pth")
    assert not is_pack(tmp_path / "net.pth")
    assert not is_pack(tmp_path / "nothing")


def test_only_what_is_whole_is_packed(tmp_path: Path) -> None:
    (settings.weights_folder() / "a.pth").write_bytes(b"something else")
    with pytest.raises(WeightsError, match="is not the published file"):
        export_pack([A], tmp_path / "p")
    (settings.weights_folder() / "a.pth").unlink()
    with pytest.raises(WeightsError, match="missing"):
        export_pack([A], tmp_path / "p")
    with pytest.raises(WeightsError, match="nothing to pack"):
        export_pack([registry.card("litemedsam"), registry.card("classical")], tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_cancelled_export_leaves_no_pack(tmp_path: Path) -> None:
    task = Task()
    task.report = lambda p: task.cancel() if "Packing" in p.text else None
    with pytest.raises(Cancelled):
        export_pack([A, B], tmp_path / "out" / "p", task)
    assert list((tmp_path / "out").iterdir()) == []


def test_terms_are_asked_for_on_the_other_machine_too(tmp_path: Path, go_to: Any) -> None:
    card = replace(A, terms=Terms("Research use only.", "https://example.org/terms"))
    export_pack([card], tmp_path / "p")
    go_to("offline")
    with pytest.raises(LicenceError):
        import_pack(tmp_path / "p", [card])
    assert placed() == {}
    licence.accept(card)
    import_pack(tmp_path / "p", [card])
    assert "a.pth" in placed()


# ---------------------------------------------------------------------- damaged and wicked packs


def rewritten(pack: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(pack) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    out = pack.with_name("changed")
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out


def relisted(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        listed = {**json.loads(members["manifest.json"]), **changes}
        members["manifest.json"] = json.dumps(listed).encode()

    return change


def _exchange(members: dict[str, bytes]) -> None:
    members["files/a.pth"] = NET[::-1]


def _exchange_and_relist(members: dict[str, bytes]) -> None:
    """Whoever made it knows how to make the list fit."""
    _exchange(members)
    listed = json.loads(members["manifest.json"])
    listed["files"][0]["sha256"] = digest(NET[::-1])
    members["manifest.json"] = json.dumps(listed).encode()


def _drop(members: dict[str, bytes]) -> None:
    del members["files/a.pth"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_exchange, "another sha256 than its list says"),
        (_exchange_and_relist, "is not the published file"),
        (_drop, "no whole offline pack"),
        (relisted(version=99), "Update this one"),
        (relisted(format="holiday pictures"), "cannot be read"),
        (relisted(files=[{"place": "a.pth"}]), "its list of files"),
        (relisted(files=3), "its list of files"),
        (lambda m: m.update({"manifest.json": b"{ not json"}), "its list cannot be read"),
        (lambda m: m.update({"manifest.json": b"[]"}), "its list cannot be read"),
    ],
)
def test_a_changed_pack_is_refused_and_nothing_is_put_in_place(
    pack: Path, go_to: Any, change: Any, words: str
) -> None:
    wrong = rewritten(pack, change)
    go_to("offline")
    with pytest.raises(WeightsError, match=words) as caught:
        import_pack(wrong, [A])
    assert "\n" not in str(caught.value)
    assert placed() == {}


def _elsewhere(members: dict[str, bytes]) -> None:
    """The pack of a version that keeps the files at other places."""
    listed = json.loads(members["manifest.json"])
    for file in listed["files"]:
        members[f"files/old/{file['place']}"] = members.pop(f"files/{file['place']}")
        file["place"] = f"old/{file['place']}"
    members["manifest.json"] = json.dumps(listed).encode()


def test_a_pack_without_any_file_of_its_models_is_no_success(pack: Path, go_to: Any) -> None:
    wrong = rewritten(pack, _elsewhere)
    go_to("offline")
    with pytest.raises(WeightsError, match=r"None of the 3 files in .* is a file of a, b, so noth"):
        import_pack(wrong, [A, B])
    with pytest.raises(WeightsError, match="is a file of b"):
        import_pack(rewritten(pack, lambda m: _without(m, "owner--b")), [A, B])
    assert placed() == {}


def _without(members: dict[str, bytes], start: str) -> None:
    listed = json.loads(members["manifest.json"])
    listed["files"] = [f for f in listed["files"] if not f["place"].startswith(start)]
    members["manifest.json"] = json.dumps(listed).encode()


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (2**40, "says that a.pth has 1,099,511,627,776 bytes, and it has 3,001"),
        (0, "says that a.pth has 0 bytes"),
        (-1, "its list of files"),
        (10**30, "too large"),
        ("3001", "its list of files"),
    ],
)
def test_a_size_that_is_stated_is_not_believed(
    pack: Path, go_to: Any, n_bytes: Any, words: str
) -> None:
    def change(members: dict[str, bytes]) -> None:
        listed = json.loads(members["manifest.json"])
        listed["files"][0]["n_bytes"] = n_bytes
        members["manifest.json"] = json.dumps(listed).encode()

    wrong = rewritten(pack, change)
    go_to("offline")
    with pytest.raises(WeightsError, match=words):
        import_pack(wrong, [A])
    assert placed() == {}


def test_a_file_that_swells_is_not_unpacked(pack: Path, go_to: Any) -> None:
    huge = bytes(64 << 20)
    out = pack.with_name("bomb")
    with zipfile.ZipFile(pack) as archive:
        listed = json.loads(archive.read("manifest.json"))
    listed["files"][0] |= {"n_bytes": len(huge), "sha256": digest(huge)}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(listed))
        archive.writestr("files/a.pth", huge)
    go_to("offline")
    with pytest.raises(WeightsError, match="would unpack to 67,108,864 bytes"):
        import_pack(out, [A])
    assert placed() == {}


def test_a_file_nobody_knows_goes_nowhere(pack: Path, go_to: Any, tmp_path: Path) -> None:
    evil = {"place": "../../evil", "n_bytes": 4, "sha256": digest(b"evil")}

    def add(members: dict[str, bytes]) -> None:
        relisted(files=[*json.loads(members["manifest.json"])["files"], evil])(members)
        members["files/../../evil"] = b"evil"

    wrong = rewritten(pack, add)
    go_to("offline")
    import_pack(wrong, [A, B])
    assert placed() == CONTENTS
    assert list(tmp_path.rglob("*evil*")) == []


@given(st.data())
@examples(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_pack_cut_anywhere_or_with_a_byte_changed_puts_no_wrong_file_in_place(
    pack: Path, go_to: Any, data: st.DataObject
) -> None:
    whole = pack.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        changed = whole[:at]
    else:
        changed = whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]
    wrong = pack.with_name("wrong")
    wrong.write_bytes(changed)
    go_to(f"offline{at}{len(changed)}")
    with contextlib.suppress(WeightsError):
        import_pack(wrong, [A, B])
    for place, content in placed().items():
        assert content == CONTENTS[place]


# ---------------------------------------------------------------------- single files


def test_a_file_brought_by_hand_is_put_in_place_under_any_name(tmp_path: Path, go_to: Any) -> None:
    go_to("offline")
    (tmp_path / "download(1)").write_bytes(NET)
    checked = import_file(tmp_path / "download(1)", A)
    assert checked.state == "published"
    assert placed() == {"a.pth": NET}
    assert (tmp_path / "download(1)").exists()


def test_which_of_several_files_it_is_tells_its_name(tmp_path: Path, go_to: Any) -> None:
    go_to("offline")
    (tmp_path / "words.txt").write_bytes(WORDS)
    import_file(tmp_path / "words.txt", A)
    assert placed() == {"words.txt": WORDS}
    (tmp_path / "what.txt").write_bytes(WORDS)
    with pytest.raises(WeightsError, match=r"a\.pth, words\.txt"):
        import_file(tmp_path / "what.txt", A)


def test_another_file_is_refused_with_both_hashes(tmp_path: Path, go_to: Any) -> None:
    go_to("offline")
    (tmp_path / "mine.pth").write_bytes(b"mine")
    with pytest.raises(WeightsError) as caught:
        import_file(tmp_path / "mine.pth", card_of("a", NET))
    for word in (str(tmp_path / "mine.pth"), digest(b"mine")[7:], digest(NET)[7:]):
        assert word in str(caught.value)
    assert placed() == {}
    assert (tmp_path / "mine.pth").exists()


def test_a_begun_download_is_given_up_for_a_whole_file(tmp_path: Path, go_to: Any) -> None:
    go_to("offline")
    part = partial_path(card_of("a", NET).files[0])
    part.parent.mkdir(parents=True)
    part.write_bytes(b"begun")
    (tmp_path / "a.pth").write_bytes(NET)
    import_file(tmp_path / "a.pth", card_of("a", NET))
    assert placed() == {"a.pth": NET}


def test_a_file_that_is_not_there_and_a_model_that_needs_none_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        import_file(tmp_path / "gone", A)
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(WeightsError, match="needs no weights"):
        import_file(tmp_path / "x", registry.card("classical"))
