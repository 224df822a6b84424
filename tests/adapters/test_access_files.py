"""The files of a team: tokens as digests that no one else may read, and an audit log of bounded size."""

import json
import os
from pathlib import Path, PosixPath
from threading import Event, Thread

import pytest
from tests.support.small_disk import kept_full, small_disk

from ostler.adapters.access.audit_log import AuditLog, audit_files, recent_starts
from ostler.adapters.access.token_file import PREFIX, TokenFile, read_tokens
from ostler.model.access import AuditSettings, principal_of_claim
from ostler.model.errors import ManifestError, StoreError


@pytest.mark.anyio
@pytest.mark.realtime
async def test_the_audit_log_keeps_the_newest_lines_in_a_bounded_number_of_files(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit", AuditSettings.model_validate({"maxBytes": 500, "files": 3}))
    for number in range(40):
        await log.record({"number": number, "error": "", "who": "alice"})
    files = list(audit_files(tmp_path / "audit"))
    assert [file.name for file in files] == ["audit.2.jsonl", "audit.1.jsonl", "audit.jsonl", "reserve.jsonl"]
    assert [line.strip() for line in files.pop().read_text().splitlines()] == [""]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert [line["number"] for line in lines] == list(range(lines[0]["number"], 40))
    assert all(file.stat().st_size <= 500 for file in files)
    assert "error" not in lines[0]
    if os.name == "posix":
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="could not be written"):
        await AuditLog(tmp_path / "file", AuditSettings()).record({})


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
async def test_of_a_line_that_the_disk_takes_a_part_of_nothing_is_left(tmp_path: Path) -> None:
    import resource

    log = AuditLog(tmp_path / "audit", AuditSettings())
    await log.record({"who": "alice"})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "audit" / "audit.jsonl").stat().st_size + 9, before[1]))
    try:
        with pytest.raises(StoreError, match="could not be written"):
            await log.record({"who": "bob"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await log.record({"who": "carol"})
    lines = (tmp_path / "audit" / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["who"] for line in lines] == ["alice", "carol"]


@pytest.mark.anyio
@pytest.mark.realtime
async def test_on_a_full_disk_stops_and_deletes_are_recorded_in_what_was_kept_for_them(tmp_path: Path) -> None:
    def recorded(folder: Path) -> list[str]:
        lines = [line for file in audit_files(folder) for line in file.read_text().splitlines() if line.strip()]
        return [json.loads(line)["who"] for line in lines]

    with small_disk(tmp_path, "2m") as disk:
        log = AuditLog(disk / "audit", AuditSettings())
        await log.record({"who": "alice", "action": "create"})
        with kept_full(disk):
            for number in range(100):
                await log.record({"who": str(number), "action": "stop", "error": "x" * 200})
            with pytest.raises(StoreError, match="could not be written"):
                await log.record({"who": "bob", "action": "create"})
            log = AuditLog(disk / "audit", AuditSettings())  # as after a restart
            await log.record({"who": "100", "action": "delete"})
            assert recorded(disk / "audit") == ["alice", *map(str, range(101))]
        await log.record({"who": "carol", "action": "create"})
        assert recorded(disk / "audit") == ["alice", *map(str, range(101)), "carol"]
        assert not (disk / "audit" / "reserve.jsonl").read_text().strip()


@pytest.mark.anyio
@pytest.mark.realtime
async def test_starts_of_the_last_hour_are_counted_by_the_audit_log_of_earlier_runs(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit", AuditSettings.model_validate({"maxBytes": 500, "files": 9}))
    assert recent_starts(tmp_path / "audit", 3600) == {}
    for number, (who, outcome) in enumerate((("alice", "done"), ("alice", "refused"), ("bob", "failed"))):
        facts = {"id": str(number), "who": who, "starts": True}
        await log.record({**facts, "outcome": "begun"})
        await log.record({**facts, "outcome": outcome})
    await log.record({"id": "7", "who": "alice", "action": "stop", "outcome": "begun"})
    with (tmp_path / "audit" / "audit.jsonl").open("a") as file:
        old = {"at": "2020-01-01T00:00:00.000Z", "id": "8", "who": "carol", "starts": True, "outcome": "begun"}
        file.write(f'{json.dumps(old)}\n{{"who": "alice", "starts": true\n')
    counted = recent_starts(tmp_path / "audit", 3600)
    assert {who: len(ages) for who, ages in counted.items()} == {"alice": 1, "bob": 1, "carol": 0}
    assert 0 <= counted["bob"][0] < 3600


def test_a_token_is_kept_as_its_digest_and_read_again_when_the_file_changes(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    assert tokens.find("x") is None
    token, made = tokens.add("alice")
    second, other = TokenFile(tokens.path).add("alice")
    assert token.startswith(PREFIX)
    assert token not in tokens.path.read_text()
    assert (made.id, other.id) == ("alice", "alice-2")
    assert [found.id for each in (token, second) if (found := tokens.find(each)) is not None] == ["alice", "alice-2"]
    TokenFile(tokens.path).remove("alice")
    assert tokens.find(token) is None
    tokens.path.write_text("{broken")
    assert tokens.find(second) is not None  # what was read last stays in force
    with pytest.raises(ManifestError, match="ostler token add writes it"):
        read_tokens(tokens.path)
    for name in ("local", "token", "Alice", "a.b", "x" * 41):
        with pytest.raises(ManifestError):
            TokenFile(tmp_path / "other.json").add(name)
    lasting = TokenFile(tmp_path / "lasting.json")
    lasting.add("alice", lasts=3600)
    (ends,) = (token.expires for token in read_tokens(lasting.path) if token.expires)
    written = lasting.path.read_text()
    for wrong in ("soon", "2026-01-01T00:00:00", "9999-12-31T23:59:59-10:00"):
        lasting.path.write_text(written.replace(f"{ends:%Y-%m-%dT%H:%M:%SZ}", wrong))
        with pytest.raises(ManifestError, match="is not a list of tokens"):
            lasting.add("bob")


class SlowPath(PosixPath):
    """A path whose first look at its file takes until `go` is set."""

    asked, go = Event(), Event()

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        if not self.asked.is_set():
            self.asked.set()
            assert self.go.wait(30)
        return super().stat(follow_symlinks=follow_symlinks)


@pytest.mark.skipif(os.name != "posix", reason="its path is one of POSIX")
def test_a_token_that_was_removed_is_refused_while_another_request_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    token, made = TokenFile(path).add("alice")
    tokens = TokenFile(path)
    assert tokens.find(token) is not None
    TokenFile(path).remove(made.id)
    tokens.path = slow = SlowPath(path)
    other = Thread(target=tokens.find, args=(token,))
    other.start()
    assert slow.asked.wait(30)
    found = tokens.find(token)
    slow.go.set()
    other.join()
    assert found is None


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
def test_a_file_of_tokens_that_others_may_read_is_refused(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    tokens.add("alice")
    tokens.path.chmod(0o640)
    with pytest.raises(ManifestError, match=r"by others \(mode 640\).*chmod 600"):
        read_tokens(tokens.path)


def test_no_two_claims_are_the_same_principal() -> None:
    claims = [
        "alice",
        "Alice",
        "ALICE",
        "a-lice",
        "alice@x",
        "local",
        "token",
        "*",
        "ä",
        "x" * 60,
        "auth0|1",
        "auth0-1",
    ]
    claims += [principal_of_claim("Alice"), principal_of_claim("auth0|1")]  # someone who was given such a name there
    names = [principal_of_claim(claim) for claim in claims]
    assert len(set(names)) == len(claims)
    assert names[0] == "alice"
    assert not {"local", "token", "*"}.intersection(names)
