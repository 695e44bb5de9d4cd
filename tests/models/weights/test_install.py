"""Fetching weights from a server on this machine that drops, refuses, lies and runs full."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from refusal import refused

from histoprompt.core import settings
from histoprompt.core.errors import Cancelled, LicenceError, WeightsError
from histoprompt.core.task import Progress, Task
from histoprompt.models import weights
from histoprompt.models.card import ModelCard, Terms, WeightsSpec
from histoprompt.models.weights import licence, transfer
from histoprompt.models.weights.find import partial_bytes, partial_path
from histoprompt.models.weights.install import install, remove, sharing
from http_server import File, Server, running

# Four times what is written at once.
CONTENT = b"PK\x03\x04" + bytes(range(256))[4:] + bytes(range(256)) * 3999
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(settings.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as found:
        found.files["/net.pth"] = File(CONTENT)
        yield found


def spec_of(server: Server, digest: str | None = f"sha256:{SHA256}", name: str = "net.pth"):
    return WeightsSpec(
        name, "https://example.org/page", len(CONTENT), digest, url=f"{server.url}/{name}"
    )


def card_of(server: Server, digest: str | None = f"sha256:{SHA256}") -> ModelCard:
    return ModelCard("net", "prompt", "Net", "m:f", licence="MIT", weights=spec_of(server, digest))


def place() -> Path:
    return settings.weights_folder() / "net.pth"


# ---------------------------------------------------------------------- it works


def test_a_file_is_fetched_checked_and_put_in_place(server: Server) -> None:
    steps: list[Progress] = []
    (checked,) = install(card_of(server), Task(steps.append))
    assert checked.state == "published"
    assert checked.path == place()
    assert place().read_bytes() == CONTENT
    assert weights.locate(card_of(server)).present
    assert [s for s in steps if "Fetching net.pth" in s.text]
    assert steps[-1].done <= steps[-1].total
    assert [p.name for p in place().parent.iterdir() if p.is_file()] == ["net.pth"]


def test_a_file_that_is_there_is_never_fetched(server: Server) -> None:
    place().parent.mkdir(parents=True)
    place().write_bytes(CONTENT)
    install(card_of(server))
    assert server.requests == []


def test_a_wrong_file_put_there_by_hand_is_refused_and_left_alone(server: Server) -> None:
    place().parent.mkdir(parents=True)
    place().write_bytes(b"something else")
    with pytest.raises(WeightsError, match="is not the published file"):
        install(card_of(server))
    assert place().read_bytes() == b"something else"
    assert server.requests == []


def test_what_is_no_weights_file_never_becomes_the_first_seen(server: Server) -> None:
    """A login page under the file's name, where no digest is published to tell it by."""
    page = b"<html>Please log in</html>"
    server.files["/net.pth"] = File(page)
    spec = replace(spec_of(server, None), n_bytes=None)
    card = replace(card_of(server), weights=spec)
    refused(card, f"{server.url}/net.pth is not a weights file", "safetensors")
    assert not partial_path(spec).exists()
    server.files["/net.pth"] = File(CONTENT)
    assert [v.state for v in install(card)] == ["pinned"]


def test_a_redirect_is_followed(server: Server) -> None:
    server.files["/net.pth"] = File(location=f"{server.url}/there")
    server.files["/there"] = File(CONTENT)
    install(card_of(server))
    assert place().read_bytes() == CONTENT


def test_all_files_of_a_model_are_fetched(server: Server) -> None:
    server.files["/words.txt"] = File(b"a b c")
    other = WeightsSpec("words.txt", f"{server.url}/words.txt")
    card = replace(card_of(server), others=(other,))
    assert not weights.locate(card).present
    assert [v.state for v in install(card)] == ["published", "pinned"]
    assert weights.companion(card, "words.txt").read_bytes() == b"a b c"
    assert weights.locate(card).missing == ()


@pytest.mark.parametrize("algorithm", ["md5", "xxh128"])
def test_other_published_digests_are_checked_and_a_sha256_is_kept(
    server: Server, tmp_path: Path, algorithm: str
) -> None:
    (tmp_path / "copy").write_bytes(CONTENT)
    digest = weights.file_digest(tmp_path / "copy", algorithm)
    (checked,) = install(card_of(server, digest))
    assert checked.state == "published"
    assert checked.pin is not None
    assert checked.pin.sha256 == f"sha256:{SHA256}"
    assert SHA256 in str(checked)
    assert SHA256 in (settings.home() / "pins.json").read_text()


# ---------------------------------------------------------------------- drops and cancels


def test_a_dropped_connection_is_taken_up_where_it_ended(server: Server) -> None:
    server.files["/net.pth"].cuts = [300_000, 400_000]
    install(card_of(server))
    assert place().read_bytes() == CONTENT
    first, second, third = server.ranges()
    assert first is None
    assert 0 < int(second.split("=")[1].rstrip("-")) <= 300_000
    assert int(third.split("=")[1].rstrip("-")) > 300_000


def test_a_server_that_gives_nothing_more_is_not_asked_for_ever(server: Server) -> None:
    server.files["/net.pth"].cuts = [600_000] + [0] * 20
    message = refused(card_of(server), "net.pth", "127.0.0.1", "dropped", "kept")
    assert "MB are kept" in message
    assert len(server.requests) == 2
    assert 0 < partial_bytes(card_of(server)) <= 600_000
    server.files["/net.pth"].cuts = []
    install(card_of(server))
    assert place().read_bytes() == CONTENT
    assert server.ranges()[-1] is not None


def test_a_server_without_ranges_starts_again(server: Server) -> None:
    server.files["/net.pth"].ranges = False
    server.files["/net.pth"].cuts = [600_000]
    install(card_of(server))
    assert place().read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_cancel_keeps_what_came_and_the_next_try_goes_on(server: Server) -> None:
    task = Task()
    task.report = lambda p: task.cancel() if partial_bytes(card_of(server)) else None
    with pytest.raises(Cancelled):
        install(card_of(server), task)
    kept = partial_bytes(card_of(server))
    assert 0 < kept < len(CONTENT)
    assert not place().exists()
    install(card_of(server))
    assert server.ranges() == [None, f"bytes={kept}-"]
    assert place().read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server) -> None:
    server.files["/net.pth"] = File(b"old" * 200_000, cuts=[300_000, 0])
    card = replace(card_of(server), weights=replace(spec_of(server, None), n_bytes=None))
    with pytest.raises(WeightsError, match="dropped"):
        install(card)
    server.files["/net.pth"] = File(CONTENT)
    install(card)
    assert place().read_bytes() == CONTENT


def test_what_cannot_be_told_to_be_the_same_file_is_not_continued(server: Server) -> None:
    """Neither a published digest nor an ETag: the halves could be of two files."""
    server.files["/net.pth"] = File(CONTENT, cuts=[600_000, 0], headers={"ETag": ""})
    with pytest.raises(WeightsError, match="dropped"):
        install(card_of(server, None))
    install(card_of(server, None))
    assert server.ranges()[-1] is None
    assert place().read_bytes() == CONTENT


@pytest.mark.parametrize("extra", [0, 7])
def test_a_partial_file_as_long_as_the_whole_or_longer_is_no_dead_end(
    server: Server, extra: int
) -> None:
    part = partial_path(spec_of(server))
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT + bytes(extra))
    server.files["/net.pth"].status = 416 if extra else 200
    task = Task(lambda _: setattr(server.files["/net.pth"], "status", 200))
    if extra:  # the server refuses the rest once, then is asked for the whole
        task.report = lambda _: None
        server.files["/net.pth"] = _RefusesRests(CONTENT)
    install(card_of(server), task)
    assert place().read_bytes() == CONTENT


class _RefusesRests(File):
    """Answers 416 to the first request."""

    @property
    def status(self) -> int:
        self._asked = getattr(self, "_asked", 0) + 1
        return 416 if self._asked <= 2 else 200

    @status.setter
    def status(self, _: int) -> None:
        pass


# ---------------------------------------------------------------------- refusals


def test_another_file_is_refused_with_both_digests_and_is_not_put_in_place(server: Server) -> None:
    server.files["/net.pth"] = File(CONTENT[::-1])
    found = hashlib.sha256(CONTENT[::-1]).hexdigest()
    refused(card_of(server), found, SHA256, server.url, "nothing opened it")
    assert partial_bytes(card_of(server)) == 0


def test_another_length_is_refused_before_it_is_fetched(server: Server) -> None:
    server.files["/net.pth"] = File(CONTENT + b"more")
    refused(card_of(server), "1,024,004", "1,024,000", "net.pth")
    assert partial_bytes(card_of(server)) == 0


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, ("HTTP 401", "sign in", "https://example.org/page", "import")),
        (403, ("HTTP 403", "ask for access", "https://example.org/page")),
        (404, ("no longer at", "https://example.org/page")),
        (503, ("HTTP 503", "later")),
    ],
)
def test_a_refusing_server_is_explained(
    server: Server, status: int, words: tuple[str, ...]
) -> None:
    server.files["/net.pth"].status = status
    refused(card_of(server), "net.pth", *words)


def test_a_sign_in_page_is_not_taken_for_weights(server: Server) -> None:
    page = File(b"<html>Sign in</html>", headers={"Content-Type": "text/html; charset=utf-8"})
    server.files["/net.pth"] = page
    refused(card_of(server, None), "web page", "firewall", "https://example.org/page")


def test_nobody_at_the_other_end_is_said_so() -> None:
    with running() as server:
        card = card_of(server)
    refused(card, "127.0.0.1", "HTTPS_PROXY", "import")


def test_too_little_room_is_told_before_anything_is_fetched(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5000, 5000))
    refused(card_of(server), "no room", "2 MB are needed", "0 MB are free", "HISTOPROMPT_HOME")
    assert partial_bytes(card_of(server)) == 0


def test_a_disk_that_runs_full_keeps_what_came(server: Server) -> None:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, old[1]))
    try:
        refused(card_of(server), "no room", "net.pth", "is kept")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert 0 < partial_bytes(card_of(server)) <= 500_000
    install(card_of(server))
    assert place().read_bytes() == CONTENT
    assert server.ranges()[-1] is not None


def test_a_folder_that_may_not_be_written_to_is_named(server: Server, home: Path) -> None:
    home.write_bytes(b"a file where the folder should be")
    with pytest.raises(Exception, match=r"could not be written|may not be written"):
        install(card_of(server))


# ---------------------------------------------------------------------- first seen


def test_a_later_different_file_is_refused_with_both_hashes(server: Server) -> None:
    card = card_of(server, None)
    assert install(card)[0].state == "pinned"
    remove(card)
    other = CONTENT[:4] + CONTENT[:3:-1]
    server.files["/net.pth"] = File(other)
    found = hashlib.sha256(other).hexdigest()
    refused(card, SHA256, found, "forget the old one and install it again")
    remove(card, forget=True)
    assert install(card)[0].digest == f"sha256:{found}"


def test_a_file_exchanged_on_disk_is_refused_at_loading(server: Server) -> None:
    card = card_of(server, None)
    install(card)
    place().write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match="another file than the one first seen"):
        weights.resolve(card)


def test_a_users_own_file_does_not_become_the_first_seen(server: Server, tmp_path: Path) -> None:
    own = tmp_path / "net.pth"
    own.write_bytes(b"my own weights")
    assert weights.verify(card_of(server, None), own).state == "own"
    assert install(card_of(server, None))[0].state == "pinned"


# ---------------------------------------------------------------------- terms


def test_terms_are_accepted_once_and_again_when_they_change(server: Server) -> None:
    terms = Terms("Research use only.", "https://example.org/terms")
    card = replace(card_of(server), terms=terms)
    with pytest.raises(LicenceError, match=r"Research use only.*example.org/terms.*install"):
        install(card)
    assert server.requests == []
    licence.accept(card)
    install(card)
    record = (settings.home() / "licences.json").read_text()
    assert '"date": "20' in record
    assert "Research use only." in record
    assert licence.is_accepted(card)
    assert not licence.is_accepted(replace(card, terms=replace(terms, text="Not even that.")))


def test_a_licence_for_any_use_is_not_asked_about(server: Server) -> None:
    assert licence.is_accepted(card_of(server))
    licence.accept(card_of(server))
    assert not (settings.home() / "licences.json").exists()


def test_a_damaged_record_of_what_was_accepted_is_named_and_kept(server: Server) -> None:
    table = settings.home() / "licences.json"
    table.parent.mkdir(parents=True)
    table.write_text("{ not json")
    card = replace(card_of(server), terms=Terms("T", "U"))
    for use in (licence.is_accepted, licence.accept, install):
        with pytest.raises(Exception, match=r"licences\.json cannot be read"):
            use(card)
    assert table.read_text() == "{ not json"


# ---------------------------------------------------------------------- several at once


def test_two_installs_of_one_file_fetch_it_once(server: Server) -> None:
    gate = server.files["/net.pth"].gate = threading.Event()
    waiting = threading.Event()

    def wait(progress: Progress) -> None:
        if "another program" in progress.text:
            waiting.set()
            gate.set()

    results: list[str] = []
    tasks = [Task(wait), Task(wait)]
    threads = [
        threading.Thread(target=lambda t=task: results.append(install(card_of(server), t)[0].state))
        for task in tasks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waiting.is_set()
    assert results == ["published", "published"]
    assert len(server.requests) == 1


def test_waiting_for_another_program_can_be_cancelled(server: Server) -> None:
    gate = server.files["/net.pth"].gate = threading.Event()
    other = threading.Thread(target=install, args=(card_of(server),))
    started = threading.Event()
    server.files["/net.pth"].headers = {}
    other.start()
    task = Task()

    def cancel(progress: Progress) -> None:
        if "another program" in progress.text:
            started.set()
            task.cancel()

    task.report = cancel
    while not server.requests:
        started.wait(0.01)
    with pytest.raises(Cancelled):
        install(card_of(server), task)
    gate.set()
    other.join()
    assert place().read_bytes() == CONTENT


# ---------------------------------------------------------------------- taking away


def test_remove_deletes_files_and_begun_downloads_of_this_model_only(server: Server) -> None:
    install(card_of(server))
    part = partial_path(spec_of(server))
    part.write_bytes(b"begun")
    neighbour = place().with_name("other.pth")
    neighbour.write_bytes(b"x")
    assert remove(card_of(server)) == [place(), part]
    assert not place().exists()
    assert partial_bytes(card_of(server)) == 0
    assert neighbour.exists()
    assert remove(card_of(server)) == []


def test_models_that_share_a_file_are_known(server: Server) -> None:
    card = card_of(server)
    twin = replace(card, id="twin")
    apart = replace(card, id="apart", weights=spec_of(server, name="apart.pth"))
    assert sharing(card, (card, twin, apart)) == [twin]


# ---------------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("link", "address"),
    [
        (
            "https://www.dropbox.com/scl/fi/a/net.pt?rlkey=b&dl=0",
            "https://www.dropbox.com/scl/fi/a/net.pt?rlkey=b&dl=1",
        ),
        (
            "https://drive.google.com/file/d/1AbC_d-E/view?usp=sharing",
            "https://drive.usercontent.google.com/download?id=1AbC_d-E&export=download&confirm=t",
        ),
        (
            "https://drive.google.com/uc?export=download&id=1AbC_d-E",
            "https://drive.usercontent.google.com/download?id=1AbC_d-E&export=download&confirm=t",
        ),
        ("https://example.org/net.pth?dl=0", "https://example.org/net.pth?dl=0"),
    ],
)
def test_links_for_sharing_become_addresses_of_files(link: str, address: str) -> None:
    assert transfer.direct(link) == address


def test_an_install_leaves_nothing_but_the_file_and_its_lock(server: Server) -> None:
    install(card_of(server))
    left = [p for p in partial_path(spec_of(server)).parent.iterdir() if p.suffix != ".lock"]
    assert left == []
    assert set(os.listdir(place().parent)) == {".incoming", "net.pth"}
