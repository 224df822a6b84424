"""Several `up` at once, one that a crash or a `down` cuts off, and a file that is broken meanwhile."""

import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from msgspec.structs import replace
from tests.support.crashes import DeadError, Fuse, Ledger, MortalStore
from tests.support.ledger_app import ledger, server_over, text_of
from tests.support.world import BASIC, Answer, Hang, Slow, World, manifest, running, until

from ostler.adapters.projects.folders import require_project
from ostler.adapters.projects.journal import UpJournal
from ostler.adapters.projects.project_files import read_scope
from ostler.adapters.stores.memory import MemoryStore
from ostler.engine import clock
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.manager import ServiceManager
from ostler.engine.projects.changes import ChangeKind, changes_of
from ostler.engine.projects.runner import ProjectReport, ProjectRunner
from ostler.engine.projects.scope import ProjectScope
from ostler.engine.services.views import CreateRequest, ProjectRef
from ostler.faces.hosted_projects import PRUNE_SECONDS, HostedProjects, is_removed
from ostler.faces.mcp.project_changes import change_line
from ostler.faces.project_runs import OWED_SECONDS, ProjectRuns
from ostler.faces.project_watches import Changed, ProjectWatches
from ostler.model.errors import ManifestError, NotFoundError, OstlerError, StoreError, SupersededError
from ostler.model.events import EventKind
from ostler.model.json import JsonObject
from ostler.model.states import HealthStatus, ServiceState
from ostler.rules.loading.projects import load_project

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

LABELLED = "{name: basic, labels: {team: data}}"
FILE = "services:\n  db: {class: basic, shared: true}\n  api: {class: basic, args: {size: 1}, dependsOn: db}\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / ".git").mkdir(parents=True)
    (root / "ostler.yaml").write_text(FILE)
    return root.resolve()


@pytest.fixture
def worktree(shop: Path) -> Path:
    """A worktree as git makes it."""
    git_dir = shop / ".git" / "worktrees" / "fix"
    git_dir.mkdir(parents=True)
    (git_dir / "commondir").write_text("../..\n")
    root = shop.parent / "fix"
    root.mkdir()
    (root / ".git").write_text(f"gitdir: {git_dir}\n")
    (root / "ostler.yaml").write_text(FILE)
    return root.resolve()


class MortalJournal(UpJournal):
    """A journal that says when an `up` is written down, and writes nothing once its process has ended."""

    def __init__(self, file: Path, fuse: Fuse) -> None:
        super().__init__(file)
        self.has_begun: Callable[[], object] = object
        self._fuse = fuse

    async def begin(self, directory: str, names: Sequence[str]) -> list[str]:
        opened = await super().begin(directory, names)
        self.has_begun()
        return opened

    async def end(self, directory: str, opened: list[str] | None = None) -> None:
        if not self._fuse.dead:
            await super().end(directory, opened)


@asynccontextmanager
async def life(
    world: World,
    store: MemoryStore,
    folder: Path,
    journal: UpJournal | None = None,
    **options: Any,
) -> AsyncGenerator[tuple[ServiceManager, HostedProjects]]:
    """Run a server whose journal is next to the project."""
    entry = manifest(lifecycleTools__healthCheck=None, healthCheck=None)
    async with running(world, entry, store=store, **options) as manager, anyio.create_task_group() as group:
        projects = HostedProjects(manager, dict, journal or UpJournal(folder.parent / "journal.json"))
        projects.run_in(group)
        try:
            yield manager, projects
        finally:
            group.cancel_scope.cancel()


async def ignore(*_: Any) -> None:
    """Take progress."""


async def up(projects: HostedProjects, folder: Path, *names: str, timeout: float | None = None) -> Any:
    _, report = await projects.up(str(folder), names, timeout=timeout, progress=ignore)
    return report


async def test_a_crash_in_a_replace_does_not_lose_the_service(shop: Path) -> None:
    file = shop.parent / "journal.json"
    crashes = 0
    for point in (3, 6, 9):  # each takes seconds: virtual time races while files are read
        (shop / "ostler.yaml").write_text(FILE)
        world, store = Ledger(), MortalStore()
        world.fuse = store.fuse
        journal = MortalJournal(file, store.fuse)

        def light(fuse: Fuse = store.fuse, point: int = point) -> None:
            fuse.at = fuse.count + point

        try:
            async with life(world, store, shop, journal) as (_, projects):
                await up(projects, shop)
                (shop / "ostler.yaml").write_text(FILE.replace("size: 1", "size: 2"))
                journal.has_begun = light
                await up(projects, shop)
        except* DeadError:
            pass
        if not store.fuse.dead:
            break
        if not await UpJournal(file).load():  # it died when it was done
            continue
        store.fuse.at, store.fuse.dead = None, False
        crashes += 1
        async with life(world, store, shop) as (manager, _):
            while await UpJournal(file).load():  # the next run of the server goes on unasked
                await anyio.sleep(1)
            assert manager.view("api.shop").state.is_up, point
            assert [found["size"] for found in world.of("api.shop")] == [2], point
    assert crashes


async def test_what_is_made_again_with_other_args_keeps_what_it_keeps_and_a_down_deletes_it(shop: Path) -> None:
    world = World()
    world.always["w/drop"] = Answer("dropped")
    async with life(world, MemoryStore(), shop) as (manager, projects):
        kept = {"disk": {"template": "/srv/{{ name }}/{{ size }}", "kept": True}}
        manager.classes.add(manifest(healthCheck=None, lifecycleTools__delete={"tool": "w/drop"}, outputs=kept))
        await up(projects, shop)
        (shop / "ostler.yaml").write_text(FILE.replace("size: 1", "size: 2"))
        await up(projects, shop)
        assert [found["size"] for found in world.resources.values()] == [1, 2]
        assert world.tools_called("w/drop") == []
        _, report = await projects.down(str(shop), (), timeout=None)
        assert report.changes["api"].reason == "kept, and yours to remove: disk /srv/api.shop/2"
        assert (world.resources, len(world.tools_called("w/drop"))) == ({}, 2)


async def test_what_an_up_would_do_to_a_long_chain_is_found_once_for_each_of_its_services(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "TURN", -1.0)
    args = ["{}", *(f'{{password: "{{{{ services.s{n}.outputs.url }}}}"}}' for n in range(399))]
    lines = [f"  s{n}: {{class: basic, args: {each}}}\n" for n, each in enumerate(args)]
    (shop / "ostler.yaml").write_text("services:\n" + "".join(reversed(lines)))
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with life(World(), MemoryStore(), shop) as (_manager, projects), anyio.create_task_group() as group:
        asked: Counter[str] = Counter()
        monkeypatch.setattr(ProjectScope, "request", counting(ProjectScope.request, asked))
        group.start_soon(take_turns)
        await anyio.lowlevel.checkpoint()
        status = await projects.status(str(shop))
        assert turns > len(status.changes), "others have their turn"
        assert [change.kind for change in status.changes] == [ChangeKind.CREATE] * 400
        assert (set(asked.values()), len(asked)) == ({1}, 400)
        group.cancel_scope.cancel()


def counting(request: Callable[..., Any], asked: Counter[str]) -> Callable[..., Any]:
    def counted(scope: ProjectScope, name: str, manager: ServiceManager) -> Any:
        asked[name] += 1
        return request(scope, name, manager)

    return counted


async def test_a_down_names_what_it_leaves_of_another_project_without_a_user(shop: Path, worktree: Path) -> None:
    async with life(World(), MemoryStore(), shop) as (manager, projects):

        async def down(folder: Path) -> dict[str, tuple[str, str]]:
            _, report = await projects.down(str(folder), (), timeout=None)
            assert report.is_good
            return {change.full_name: (change.kind.value, change.reason) for change in report.changes.values()}

        await up(projects, worktree)
        left = f"it is shared, and belongs to {shop}: project_down there removes it"
        assert await down(worktree) == {"api.fix.shop": ("remove", ""), "db.shop": ("keep", left)}
        await up(projects, shop)
        await up(projects, worktree)
        assert await down(worktree) == {"api.fix.shop": ("remove", "")}
        assert (await down(shop)).keys() == {"api.shop", "db.shop"}
        assert manager.views() == []


async def test_a_down_of_named_services_is_safe_to_repeat(shop: Path, worktree: Path) -> None:
    async with life(World(), MemoryStore(), shop) as (manager, projects):

        async def down(folder: Path, *names: str) -> dict[str, tuple[str, str]]:
            _, report = await projects.down(str(folder), names, timeout=None)
            assert report.is_good
            return {change.full_name: (change.kind.value, change.reason) for change in report.changes.values()}

        await up(projects, worktree)
        await up(projects, shop)
        assert await down(shop, "api") == {"api.shop": ("remove", "")}
        assert await down(shop, "api") == {"api.shop": ("remove", "it was gone already")}
        shared = f"it is shared: project_down in {shop} removes it"
        left = {"db.shop": ("keep", shared)}
        assert await down(worktree, "db", "api") == {**left, "api.fix.shop": ("remove", "")}
        assert [view.name for view in manager.views()] == ["db.shop"]
        with pytest.raises(NotFoundError, match="service 'apo' not found; did you mean 'api'"):
            await down(shop, "apo")


async def test_two_worktrees_that_come_up_at_once_make_what_is_shared_once(shop: Path, worktree: Path) -> None:
    world = World()
    world.always["w/start"] = Slow(0.05)
    async with life(world, MemoryStore(), shop) as (_manager, projects), anyio.create_task_group() as group:

        async def bring(folder: Path) -> None:
            assert (await up(projects, folder)).is_good

        for folder in (shop, worktree, shop, worktree):
            group.start_soon(bring, folder)
    assert sorted(made["name"] for made in world.resources.values()) == ["api.fix.shop", "api.shop", "db.shop"]


async def test_an_up_makes_again_what_is_just_being_deleted(shop: Path) -> None:
    world = World()
    ref = ProjectRef("shop", str(shop))
    async with life(world, MemoryStore(), shop) as (manager, _projects):
        scope = ProjectScope(ref, ref, load_project(FILE))
        runner = ProjectRunner(manager)
        await runner.up(scope, ["db"])
        world.faults["w/stop"].append(Slow(3))
        await manager.delete("db.shop", wait=False)
        await until(lambda: world.tools_called("w/stop"))
        assert (await runner.up(scope)).is_good
    assert sorted(made["name"] for made in world.resources.values()) == ["api.shop", "db.shop"]


async def test_a_worktree_inside_of_the_main_checkout_is_not_taken_for_it(shop: Path, worktree: Path) -> None:
    inside = shop / ".claude" / "worktrees" / "fix"
    inside.parent.mkdir(parents=True)
    worktree.rename(inside)
    (inside / "src").mkdir()
    async with life(World(), MemoryStore(), shop) as (_manager, projects):
        await up(projects, shop)
        seen = projects.directory
        assert seen.project_of(str(shop / ".claude")) == "shop"
        assert seen.full_name("api", str(inside / "src")) == "api", "not the api of the main checkout"
        assert not seen.seen_from(str(inside)).has("api.shop", "shop"), "it has no services yet, and lists none"
        assert seen.seen_from(str(inside)).has("tool", "")
        assert seen.seen_from(str(shop.parent)).has("api.shop", "shop"), "outside of projects, all are listed"
        await up(projects, inside)
        assert seen.full_name("api", str(inside / "src")) == "api.fix.shop"
        assert seen.full_name("db", str(inside / "src")) == "db.shop", "shared"
        outlook = seen.seen_from(str(inside))
        assert outlook.has("db.shop", "shop"), "it uses that of the main checkout"
        assert not outlook.has("api.shop", "shop")
        _, kept = await projects.down(str(shop), ("db",), timeout=None)
        assert "api.fix.shop, api.shop use it" in str(kept.failures["db"])
        assert "take their projects down first" in str(kept.failures["db"])
        await projects.down(str(inside), ("api",), timeout=None)
        _, kept = await projects.down(str(shop), ("db",), timeout=None)
        assert "api.shop uses it" in str(kept.failures["db"])
        assert "project_down api db takes them down together" in str(kept.failures["db"])
        await up(projects, inside)
        (inside / "ostler.yaml").unlink()
        with pytest.raises(NotFoundError, match=r"its ostler\.yaml is gone, and the services of project fix\.shop"):
            await up(projects, inside)
        shutil.rmtree(inside)
        assert seen.project_of(str(inside)) == "fix.shop", "it is known when it is gone"
        with pytest.raises(NotFoundError, match=r"the folder is gone.*Next: project_down stops and removes them"):
            await up(projects, inside / ".." / inside.name)
        assert (await projects.status(str(inside))).ref.id == "fix.shop"
        assert (await projects.down(str(inside), (), timeout=None))[0].id == "fix.shop", "not the project around it"
        assert [service.name for service in seen.members("shop")] == ["api.shop", "db.shop"]
        assert not projects.is_project(str(inside))
        assert not projects.is_project(str(shop / ("a" * 300))), "a name that no folder can have"
        with pytest.raises(NotFoundError, match="there is no such folder"):
            await projects.down(str(inside), (), timeout=None)
        with pytest.raises(NotFoundError, match="there is no such folder"):
            await up(projects, shop.parent / "nowhere")


async def test_a_project_that_has_services_keeps_its_id(shop: Path, worktree: Path) -> None:
    async with life(World(), MemoryStore(), shop) as (manager, projects):
        await up(projects, shop)
        await up(projects, worktree)
        names = {view.name for view in manager.views()}
        for folder in (shop, worktree):
            (folder / "ostler.yaml").write_text(f"name: store\n{FILE}")
            assert (await up(projects, folder)).changes.keys() == {"db", "api"}
        shop.rename(shop.with_name("moved"))  # the worktree's pointer to its repository leads nowhere
        assert {change.kind for change in (await up(projects, worktree)).changes.values()} == {ChangeKind.KEEP}
        assert {view.name for view in manager.views()} == names
        git_dir = shop.with_name("moved") / ".git" / "worktrees" / "fix"
        (worktree / ".git").write_text(f"gitdir: {git_dir}\n")  # as `git worktree repair` does
        await up(projects, worktree)
        assert {view.name for view in manager.views()} == {*names, "db.store", "api.fix.store"}
        left = [(ref.id, ref.replaced_by) for ref in projects.left_over()]
        assert left == [("fix.shop", "fix.store"), ("shop", "")], "what no one in that folder means any more"
        await projects.prune(timeout=None)
        await up(projects, shop.with_name("moved"))
        assert {view.name for view in manager.views()} == {"db.store", "api.store", "api.fix.store"}


async def test_worktrees_of_a_bare_repository_share_what_the_first_of_them_made(tmp_path: Path) -> None:
    home = tmp_path / "shop"
    for name in ("trunk", "fix"):
        git_dir = home / ".bare" / "worktrees" / name
        git_dir.mkdir(parents=True)
        (git_dir / "commondir").write_text("../..\n")
        (git_dir / "gitdir").write_text(f"{home / name / '.git'}\n")
        (home / name).mkdir()
        (home / name / ".git").write_text(f"gitdir: {git_dir}\n")
        (home / name / "ostler.yaml").write_text(FILE)
    (home / ".bare" / "HEAD").write_text("ref: refs/heads/trunk\n")
    (home / ".bare" / "config").write_text("[core]\n\tbare = true\n")
    (home / "fix" / "inner").mkdir()
    (home / "fix" / "inner" / "ostler.yaml").write_text(FILE)
    inner = await read_scope(require_project(home / "fix" / "inner"), {}, {})
    assert inner.shared_folder == str(home), "that of the project is in no checkout"
    async with life(World(), MemoryStore(), home) as (manager, projects):
        for name in ("trunk", "fix"):
            assert (await up(projects, home / name)).is_good
        assert sorted(service.name for service in manager.registry.get_all()) == [
            "api.fix.shop",
            "api.trunk.shop",
            "db.shop",
        ]
        (home / "fix" / "ostler.yaml").write_text(
            FILE.replace("{class: basic, shared", "{class: basic, args: {size: 2}, shared")
        )
        [db] = (await up(projects, home / "fix", "db")).changes.values()
        assert db.reason == (
            f"kept as the worktree had it that made it (project_down in {home} lets this one make it); here it "
            "differs: args size"
        )
        assert projects.left_over() == []
        status = await projects.status(str(home))
        assert (status.ref.id, status.is_bare, [each.name for each in status.members]) == ("shop", True, ["db.shop"])
        with pytest.raises(NotFoundError, match="bare repository, whose worktrees share the services of shop"):
            await up(projects, home)
        for name in ("trunk", "fix"):
            await projects.down(str(home / name), (), timeout=None)
        _, report = await projects.down(str(home), (), timeout=None)
        assert (report.is_good, list(manager.registry.get_all())) == (True, [])
        await up(projects, home / "fix")
        for name in ("trunk", "fix"):
            shutil.rmtree(home / name)
        assert [ref.id for ref in projects.left_over()] == ["fix.shop", "shop"], "no worktree has it any more"


async def test_the_main_checkout_decides_what_is_shared(shop: Path, worktree: Path) -> None:
    world = World()
    (worktree / "ostler.yaml").write_text(FILE.replace("shared: true", "shared: true, args: {size: 9}"))
    async with life(world, MemoryStore(), shop) as (manager, projects):
        await up(projects, shop)
        report = await up(projects, worktree)
        assert report.changes["db"].kind == "keep"
        assert "as shop has it, which decides; here it differs: args size" in report.changes["db"].reason
        assert manager.view("db.shop").args["size"] == 1


async def test_a_down_ends_the_up_under_way(shop: Path) -> None:
    world = World()
    errors: list[OstlerError] = []
    world.always["w/start"] = Hang()
    async with life(world, MemoryStore(), shop) as (manager, projects), anyio.create_task_group() as group:

        async def bring() -> None:
            with pytest.raises(SupersededError, match="taken down") as caught:
                await up(projects, shop)
            errors.append(caught.value)

        group.start_soon(bring)
        group.start_soon(bring)
        while not world.tools_called("w/start"):
            await anyio.sleep(0.005)
        _, report = await projects.down(str(shop), (), timeout=None)
        assert list(report.changes) == ["db"]
        assert manager.registry.find("api.shop") is None
        while len(errors) < 2:  # one that was late reading its file has begun an up of its own
            await projects.down(str(shop), (), timeout=None)
            await anyio.sleep(0.005)
    assert len({id(error) for error in errors}) == 2, "each of those who wait may add to its own"


async def test_a_down_ends_an_up_that_has_made_nothing_yet(shop: Path, worktree: Path) -> None:
    world = World()
    world.always["w/start"] = Hang()
    async with life(world, MemoryStore(), shop) as (manager, projects), anyio.create_task_group() as group:

        async def bring() -> None:
            with pytest.raises(SupersededError, match=r"fix\.shop .*taken down"):
                await up(projects, worktree)

        group.start_soon(bring)
        await until(lambda: world.tools_called("w/start"))  # of what is shared, which is the main checkout's
        ref, report = await projects.down(str(worktree), (), timeout=None)
        assert (ref.id, report.changes) == ("", {})
        assert [service.name for service in manager.registry.get_all()] == ["db.shop"]


@pytest.mark.parametrize("named", [(), ("api", "db")])
async def test_an_up_begins_when_the_down_under_way_has_ended(
    shop: Path, worktree: Path, named: tuple[str, ...]
) -> None:
    world = World()
    async with life(world, MemoryStore(), shop) as (manager, projects):
        for folder in (shop, worktree):  # which uses db of the main checkout
            await up(projects, shop)
            world.faults["w/stop"].append(Slow(2.0))  # of api; db is still running then
            reports: list[ProjectReport] = []
            async with anyio.create_task_group() as group:
                group.start_soon(partial(projects.down, str(shop), named, timeout=None))
                await until(lambda: not world.faults["w/stop"])
                reports.append(await up(projects, folder))
            [report] = reports
            assert (report.failures, {change.kind for change in report.changes.values()}) == ({}, {ChangeKind.CREATE})
            assert {service.state for service in manager.registry.get_all()} == {ServiceState.RUNNING}


async def test_a_clone_in_the_folder_of_a_worktree_is_meant_there_and_not_what_is_left_of_it(
    shop: Path, worktree: Path
) -> None:
    async with life(World(), MemoryStore(), shop) as (_manager, projects):
        await up(projects, worktree)
        (worktree / ".git").unlink()
        (worktree / ".git").mkdir()
        for name in ("fix", "aaa"):  # whichever comes first by its name
            (worktree / "ostler.yaml").write_text(f"name: {name}\n{FILE}")
            await up(projects, worktree)
            owner = await projects.owner_of_new(str(worktree))
            assert owner is not None
            assert (owner.id, projects.full_name("api", str(worktree))) == (name, f"api.{name}")
            assert (await projects.down(str(worktree), (), timeout=None))[0].id == name
        assert (await projects.down(str(worktree), (), timeout=None))[0].id == "fix.shop", "then what is left"


async def test_a_worktree_inside_of_a_main_checkout_that_was_moved_is_not_taken_for_it(
    shop: Path, worktree: Path
) -> None:
    inside = shop / "fix"
    worktree.rename(inside)
    (inside / "ostler.yaml").unlink()
    moved = shop.rename(shop.with_name("moved"))
    async with life(World(), MemoryStore(), moved) as (manager, projects):
        await up(projects, moved)
        with pytest.raises(NotFoundError, match="neither it nor a folder above"):
            await projects.down(str(moved / "fix"), (), timeout=None)
        assert len(manager.registry.get_all()) == 2
        (moved / "fix" / ".git").write_text("gitdir: ../.git/modules/fix\n")  # a submodule, without what git keeps
        assert (await projects.down(str(moved / "fix"), (), timeout=None))[0].id == "moved"


async def test_a_worktree_that_comes_back_while_others_are_pruned_keeps_its_services(
    shop: Path, worktree: Path, tmp_path: Path
) -> None:
    world = World()
    other = tmp_path / "another"
    shutil.copytree(worktree, other)
    away, other_away = tmp_path / "away", tmp_path / "other-away"
    entry = manifest(lifecycleTools__healthCheck=None, healthCheck=None)
    async with running(world, entry) as manager, anyio.create_task_group() as group:
        prunes = False
        projects = HostedProjects(manager, dict, prunes=lambda: prunes)
        projects.run_in(group)
        await up(projects, shop)

        async def come_back() -> None:
            await until(lambda: world.tools_called("w/stop"))
            away.rename(worktree)

        for automatic in (True, False):
            await up(projects, worktree)
            await up(projects, other)
            worktree.rename(away)
            other.rename(other_away)
            world.calls.clear()
            world.always["w/stop"] = Slow(20)
            group.start_soon(come_back)
            prunes = automatic
            if not automatic:
                assert [ref.id for ref, _ in await projects.prune(timeout=50)] == ["another.shop"]
            await until(lambda: not projects.directory.members("another.shop"))
            prunes = False
            await anyio.sleep(60)
            assert [service.name for service in projects.directory.members("fix.shop")] == ["api.fix.shop"]
            world.always.clear()
            other_away.rename(other)
        group.cancel_scope.cancel()


async def test_a_down_of_what_another_call_deletes_meanwhile_ends_well(shop: Path) -> None:
    world = World()
    async with life(world, MemoryStore(), shop) as (manager, projects), anyio.create_task_group() as group:
        await up(projects, shop)
        world.always["w/stop"] = Slow(5)

        async def delete() -> None:
            await until(lambda: world.tools_called("w/stop"))
            world.always.clear()
            await manager.delete("db.shop")

        group.start_soon(delete)
        _, report = await projects.down(str(shop), (), timeout=None)
        assert (report.changes.keys(), report.failures) == ({"api", "db"}, {})
        assert not manager.registry.get_all()


async def test_a_prune_takes_worktrees_down_first_and_waits_no_longer_in_all(shop: Path, tmp_path: Path) -> None:
    world = World()
    worktree = tmp_path / "ux"
    shutil.copytree(shop, worktree)
    shutil.rmtree(worktree / ".git")
    (shop / ".git" / "worktrees" / "ux").mkdir(parents=True)
    (shop / ".git" / "worktrees" / "ux" / "commondir").write_text("../..\n")
    (worktree / ".git").write_text(f"gitdir: {shop}/.git/worktrees/ux\n")
    async with life(world, MemoryStore(), shop) as (manager, projects):
        await up(projects, shop)
        await up(projects, worktree)
        for folder in (shop, worktree):
            shutil.rmtree(folder)
        world.always["w/stop"] = Slow(25)
        began = anyio.current_time()
        assert [report.unfinished for _, report in await projects.prune(timeout=50)] == [[], ["api", "db"]]
        assert anyio.current_time() - began <= 51
        assert [report.failures for _, report in await projects.prune(timeout=None)] == [{}]
        assert not manager.registry.get_all()


async def test_an_up_says_all_that_is_known_to_fail_before_it_starts_anything(shop: Path) -> None:
    faults = (
        "  first: {class: basic}\n"
        "  size: {class: basic, args: {size: 0, password: '{{ services.first.outputs.url }}'}}\n"
        "  name: {class: basic, args: {password: '{{ services.first.outputs.link }}'}}\n"
        "  env: {class: basic, args: {password: '{{ services.first.outputs.url }}'}, env: {A: '{{ env.NOPE }}'}}\n"
        "  class: {class: basik, dependsOn: first}\n"
        "  extra: {class: basic, args: {colour: red}, dependsOn: first}\n"
        "  file: {class: basic, envFile: none.env, dependsOn: first}\n"
        "  end: {class: basic, dependsOn: {first: completed}}\n"
        "  well: {class: basic, dependsOn: {blind: healthy}}\n"
        "  blind: {class: basic, healthCheck: {enabled: false}}\n"
        "  text: {class: basic, args: {size: '2', password: '{{ services.first.outputs.url }}'}}\n"
    )
    lines = {
        "size": "0 is less than the minimum of 1",
        "name": "there is no 'link'",
        "env": "'env.NOPE' is undefined",
        "class": "no ServiceClass 'basik'",
        "extra": "'colour'",
        "file": "there is no such file",
        "end": "'first' never completes",
        "well": "'blind' never becomes healthy",
    }
    world = World()
    async with life(world, MemoryStore(), shop) as (_manager, projects):
        (shop / "ostler.yaml").write_text("services:\n" + faults)
        with pytest.raises(ManifestError, match="nothing was started, stopped or changed") as caught:
            await up(projects, shop)
        assert {each.path.split(".")[1]: each.line for each in caught.value.findings} == {
            name: number for number, name in enumerate(lines, start=3)
        }
        for said, found in zip(lines.values(), caught.value.findings, strict=True):
            assert said in str(found)
        assert world.calls == []
        planned = {change.name: change for change in (await projects.status(str(shop))).changes}
        assert {name for name, change in planned.items() if change.kind is ChangeKind.IMPOSSIBLE} == set(lines)
        with pytest.raises(ManifestError, match="'first' never completes"):
            await up(projects, shop, "end")
        assert world.calls == []
        assert not await UpJournal(shop.parent / "journal.json").load(), "there is nothing to go on with"
        assert (await up(projects, shop, "text")).is_good, "what is wrong elsewhere does not matter to it"


async def test_what_takes_the_outputs_of_a_stopped_service_is_said_to_wait_for_it(shop: Path) -> None:
    args = '{password: "{{ services.db.outputs.url }}"}'
    (shop / "ostler.yaml").write_text(FILE.replace("{size: 1}", args))
    async with life(World(), MemoryStore(), shop) as (manager, projects):
        assert (await up(projects, shop)).is_good
        await manager.stop_service("db.shop")
        changes = {change.name: change for change in (await projects.status(str(shop))).changes}
        assert changes["db"].kind is ChangeKind.START
        assert (changes["api"].kind, changes["api"].reason) == (ChangeKind.UNKNOWN, "db is not up")
        assert change_line(changes["api"]) == "api.shop: seen when what it needs is up (db is not up)"


async def misses_a_program(_tool: str, args: JsonObject) -> OstlerError | None:
    """Foresee that a service whose password is `missing` cannot start."""
    return NotFoundError("program", "odd") if args["password"] == "missing" else None


async def test_what_may_be_right_when_its_turn_comes_refuses_no_up(shop: Path) -> None:
    afar = BASIC.replace("name: basic", "name: afar").replace("    size:", "    port: {}\n    host: {}\n    size:")
    lines = "services:\n  first: {class: basic, args: {size: 1}}\n  then: {class: basic, dependsOn: first}\n"
    for host in ("here", "there"):
        lines += f"  {host}: {{class: afar, args: {{port: '80', host: {host}}}}}\n"
    lines += "  spare: {class: afar, enabled: false, args: {port: '80', host: here}}\n"
    odd = "args: {password: 'missing'}"

    async with life(World(), MemoryStore(), shop, foresight=misses_a_program) as (manager, projects):
        manager.classes.add(manifest(afar, healthCheck=None, lifecycleTools__healthCheck=None))
        (shop / "ostler.yaml").write_text(lines)
        assert (await up(projects, shop)).is_good, "one port of two hosts, or of what is not up"
        lines = f"{lines.replace('size: 1', 'size: 2')}  last: {{class: basic, dependsOn: then, {odd}}}\n"
        (shop / "ostler.yaml").write_text(lines)
        assert (await up(projects, shop)).is_good, "the first may make it, which what is kept needs"
        lines += f"  mail: {{class: basic, {odd}}}\n  web: {{class: basic, dependsOn: {{mail: {{required: false}}}}}}\n"
        (shop / "ostler.yaml").write_text(lines)
        with pytest.raises(ManifestError, match="'mail' cannot start"):
            await up(projects, shop, "mail")
        assert (await up(projects, shop, "web")).is_good, "web can do without mail"


async def test_an_up_finds_a_port_that_two_services_ask_for_in_templates(shop: Path) -> None:
    text = BASIC.replace("    size:", "    port: {type: integer}\n    size:")
    async with life(World(), MemoryStore(), shop) as (manager, projects):
        manager.classes.add(manifest(text.replace("name: basic", "name: web"), healthCheck=None))
        made = "services:\n  a: {class: web, args: {port: 8001}}\n  b: {class: web, args: {port: '{{ 8000 + 1 }}'}}\n"
        (shop / "ostler.yaml").write_text(made)
        with pytest.raises(ManifestError, match="port 8001 is asked for by 'a' and 'b'"):
            await up(projects, shop)
        (shop / "ostler.yaml").write_text(made.replace("8000", "8001"))
        assert (await up(projects, shop)).is_good


async def test_an_up_foresees_no_start_of_a_shared_service_that_another_checkout_decides_on(
    shop: Path, worktree: Path
) -> None:
    async with life(World(), MemoryStore(), shop, foresight=misses_a_program) as (manager, projects):
        await up(projects, shop, "db")
        await manager.stop_service("db.shop")
        other = FILE.replace("shared: true", "shared: true, args: {password: missing}")
        (worktree / "ostler.yaml").write_text(other)
        assert (await up(projects, worktree)).is_good


async def test_what_a_crash_cut_off_goes_on_whatever_else_is_wrong(shop: Path) -> None:
    (shop / "ostler.yaml").write_text(f"{FILE}  odd: {{class: basic, args: {{colour: red}}}}\n")
    await UpJournal(shop.parent / "journal.json").begin(str(shop), ())
    async with life(World(), MemoryStore(), shop) as (manager, _projects):
        await until(lambda: manager.registry.find("api.shop") is not None and manager.view("api.shop").state.is_up)


async def test_an_up_before_the_journal_was_read_loses_nothing_and_is_forgotten_at_its_end(
    tmp_path: Path,
) -> None:
    file = tmp_path / "journal.json"
    await UpJournal(file).begin("/earlier", ["api"])
    journal = UpJournal(file)
    opened = await journal.begin("/new", [])
    assert await journal.load() == {"/earlier": ["api"]}, "what was begun in this run was not cut off"
    assert await UpJournal(file).load() == {"/earlier": ["api"], "/new": []}
    await journal.end("/new", opened)
    assert await UpJournal(file).load() == {"/earlier": ["api"]}
    again = UpJournal(file)
    await again.end("/earlier")
    assert await again.load() == await UpJournal(file).load() == {}, "what was taken down stays down"


async def test_what_could_not_be_written_down_is_not_brought_up_by_the_next_run(shop: Path, worktree: Path) -> None:
    state, away = shop.parent / "state", shop.parent / "away"
    journal = UpJournal(state / "journal.json")

    async def next_run_finds() -> object:
        return await UpJournal(state / "journal.json").load()

    async with life(World(), MemoryStore(), shop, journal) as (_, projects):
        state.write_text("")  # so that nothing can be written in it
        with pytest.raises(
            StoreError, match="project shop is not brought up, .*'.*journal.json'.*; nothing was started"
        ):
            await up(projects, shop)
        state.unlink()
        opened = await journal.begin(str(worktree), ())
        assert await next_run_finds() == {str(worktree): []}, "nothing of shop was begun"
        state.rename(away)
        state.write_text("")
        with pytest.raises(StoreError, match=r"journal\.json"):
            await journal.end(str(worktree), opened)
        state.unlink()
        away.rename(state)
        await projects.down(str(worktree), (), timeout=None)
        assert await next_run_finds() == {}, "what was taken down stays down"


async def test_what_left_the_file_goes_with_what_it_needs_once_nothing_uses_it(shop: Path) -> None:
    async with life(World(), MemoryStore(), shop) as (manager, projects):
        chain = "  api: {class: basic, dependsOn: db}\n  db: {class: basic}\n"
        (shop / "ostler.yaml").write_text(f"services:\n  web: {{class: basic, dependsOn: api}}\n{chain}")
        assert (await up(projects, shop)).is_good
        (shop / "ostler.yaml").write_text("services:\n  web: {class: basic}\n")
        assert (await up(projects, shop)).is_good, "web uses the others until it is replaced"
        assert [service.name for service in manager.registry.get_all()] == ["web.shop"]


async def test_a_file_that_breaks_changes_nothing_and_is_shown(shop: Path) -> None:
    async with life(World(), MemoryStore(), shop) as (_manager, projects):
        (shop / "ostler.yaml").write_text("services: [")
        with pytest.raises(ManifestError):
            await projects.status(str(shop))
        (shop / "ostler.yaml").write_text(FILE)
        await up(projects, shop)
        (shop / "ostler.yaml").write_text("services:\n  db: {class: basic, dependsOn: nobody}\n")
        with pytest.raises(OstlerError, match="no service 'nobody'"):
            await up(projects, shop)
        status = await projects.status(str(shop))
        assert [member.name for member in status.members] == ["api.shop", "db.shop"]
        assert all(member.state.is_up for member in status.members)
        assert "no service 'nobody'" in str(status.findings[0])
        assert list((await projects.down(str(shop), (), timeout=None))[1].changes) == ["api", "db"]


async def test_a_class_that_changed_only_around_its_program_is_taken_over_without_a_restart(shop: Path) -> None:
    world = World()
    scope = await read_scope(require_project(shop), {}, {})

    def changed(text: str = BASIC, **config: Any) -> ClassEntry:
        return manifest(text, **{"lifecycleTools__healthCheck": None, "healthCheck": None, **config})

    described = BASIC.replace("a resource in the ledger", "otherwise described").replace("{name: basic}", LABELLED)
    async with life(world, MemoryStore(), shop) as (manager, projects):
        await up(projects, shop)
        begun = world.tools_called("w/start")
        db, api = (manager.registry.get(name) for name in ("db.shop", "api.shop"))
        assert isinstance(db, ServiceInstance)
        assert isinstance(api, ServiceInstance)
        for other in (
            changed(described),
            changed(BASIC.replace("minimum: 1}", "minimum: 0, description: how many}")),
            changed(restartPolicy={"policy": "on-failure"}, healthCheck={"interval": "5s"}),
        ):
            manager.classes.add(other)
            assert {each.kind for each in await changes_of(scope, ["db", "api"], manager)} == {ChangeKind.KEEP}
            assert (await up(projects, shop)).is_good
            assert db.record.class_digest == other.digest
            assert db.service_class == other.service_class
        await manager.stop_service("api.shop")
        manager.classes.add(changed(described))
        assert (await up(projects, shop)).changes["api"].kind is ChangeKind.START
        assert api.service_class.spec.description == "otherwise described"
        assert len(world.tools_called("w/start")) == len(begun) + 1
        for other in (
            changed(outputs={"size": "{{ args.size }}"}),
            changed(BASIC.replace("w/stop", "w/kill")),
            changed(BASIC.replace('{name: "{{ name }}", size', '{label: new, name: "{{ name }}", size')),
            changed(healthCheck={"enabled": False}),
            changed(
                BASIC.replace("    size: {", '    note: {type: string, default: ""}\n    size: {').replace(
                    '{name: "{{ name }}", size', '{note: "{{ note }}", name: "{{ name }}", size'
                )
            ),
        ):
            manager.classes.add(other)
            found = await changes_of(scope, ["api"], manager)
            assert [each.reason for each in found] == ["changed: its class is another version"]
        manager.classes.add(changed(BASIC.replace("    size: {", '    note: {type: string, default: ""}\n    size: {')))
        for _ in range(2):
            assert {each.kind for each in await changes_of(scope, ["db", "api"], manager)} == {ChangeKind.KEEP}
            assert not (await manager.create(scope.request("db", manager))).changed
            assert (await up(projects, shop)).is_good
            assert db.record.args["note"] == "", "as its checks may name it"


async def test_a_job_is_run_again_by_an_up_when_its_files_changed(shop: Path) -> None:
    world = World()
    world.always["w/status"] = Answer({"state": "done"})
    entry = manifest(
        BASIC.replace("name: basic", "name: once"),
        lifecycleTools__healthCheck=None,
        lifecycleTools__ready=None,
        completed={"jsonPath": {"state": "done"}},
    )
    text = "services:\n  migrate: {class: once, watch: sql/*}\n  seed: {class: once, dependsOn: {migrate: completed}}\n"
    ref = ProjectRef("shop", str(shop))
    plain = ProjectScope(ref, ref, load_project(text))

    async with running(world, entry) as manager:

        async def kinds(inputs: dict[str, str]) -> dict[str, tuple[str, str]]:
            scope = replace(plain, inputs=inputs)
            plan = await changes_of(scope, ["migrate", "seed"], manager)
            assert (await ProjectRunner(manager).up(scope)).is_good
            return {change.name: (change.kind.value, change.reason) for change in plan if change.kind != "keep"}

        changed = {"migrate": ("replace", "changed: files of sql/*")}
        assert len(await kinds({"migrate": "1"})) == 2
        assert await kinds({"migrate": "1"}) == {}
        assert await kinds({"migrate": "2"}) == changed
        assert await kinds({"migrate": "2"}) == {}, "once for one change"
        assert await kinds({}) == {}, "without watch, nothing says what it depends on"
        world.seconds["migrate.shop"] = 5  # it is being started when it is found to be running
        async with anyio.create_task_group() as group:
            group.start_soon(kinds, {"migrate": "3"})
            await until(lambda: len(world.tools_called("w/start")) == 4)
            world.always["w/status"] = Answer({"state": "running"})
            group.start_soon(kinds, {"migrate": "4"})
            await anyio.sleep(20)  # at 30 s its delete would be given up
            assert len(world.tools_called("w/start")) == 4, "one that runs is not cut off in the middle"
            world.always["w/status"] = Answer({"state": "done"})
        assert [args["name"] for tool, args in world.calls if tool == "w/start"] == [
            "migrate.shop",
            "seed.shop",
            *["migrate.shop"] * 3,
        ]


JOBS = "services:\n  db: {class: basic}\n  test: {class: once, dependsOn: db}\n  seed: {class: once}\n"
DONE = Answer({"state": "done"})


class Jobs:
    """Runs of a project whose jobs work until `w/status` says something else; no file is read, which takes time."""

    def __init__(self, world: World, manager: ServiceManager, runs: ProjectRuns) -> None:
        self.world = world
        self.manager = manager
        self.runs = runs
        self.lingers = 0.0
        ref = ProjectRef("shop", "/srv/shop")
        self.scope = ProjectScope(ref, ref, load_project(JOBS))

    async def up(self, *names: str, timeout: float | None = None) -> ProjectReport:
        _, report = await self.runs.up(self.scope, names, timeout=timeout, progress=ignore)
        return report

    @property
    def starts(self) -> int:
        return len(self.world.tools_called("w/start"))


@pytest.fixture
async def jobs() -> AsyncGenerator[Jobs]:
    world = World()
    entry = manifest(lifecycleTools__healthCheck=None, healthCheck=None)
    once: Any = {
        "lifecycleTools__healthCheck": None,
        "lifecycleTools__ready": None,
        "healthCheck": {"interval": "1s", "failureThreshold": 1},
    }
    job = manifest(BASIC.replace("name: basic", "name: once"), **once, completed={"jsonPath": {"state": "done"}})
    async with running(world, entry, job) as manager, anyio.create_task_group() as group:
        runs = ProjectRuns(manager, ProjectRunner(manager), UpJournal(), lambda _: around())
        jobs = Jobs(world, manager, runs)

        @asynccontextmanager
        async def around() -> AsyncGenerator[None]:
            yield
            await anyio.sleep(jobs.lingers)  # as until the files are watched

        async def scope_of(_directory: str) -> ProjectScope:
            return jobs.scope

        runs.run_in(group, scope_of)
        yield jobs
        group.cancel_scope.cancel()


async def test_a_job_that_is_named_is_waited_for_and_keeps_no_other_up_waiting(jobs: Jobs) -> None:
    assert (await jobs.up("test", timeout=5)).unfinished == ["test"]
    assert (await jobs.up(timeout=5)).is_good, "it works on, and no one else waits for it"
    assert (await jobs.up("test", timeout=5)).unfinished == ["test"], "the same run is waited for"
    jobs.world.always["w/status"] = DONE
    report = await jobs.up("test")
    assert (report.jobs, report.changes["test"].kind, report.is_good) == (["test"], "create", True)
    again = await jobs.up("test")
    assert (again.jobs, again.changes["test"].reason) == ([], "it has completed before")
    assert jobs.starts == 3
    await until(lambda: jobs.manager.view("seed.shop").reason == "completed")


@asynccontextmanager
async def checked(world: World, checks: JsonObject, store: MemoryStore | None = None) -> AsyncGenerator[Jobs]:
    """Run a project whose services have health checks."""
    entry = manifest(healthCheck=checks)
    async with running(world, entry, store=store or MemoryStore()) as manager, anyio.create_task_group() as group:
        runs = ProjectRuns(manager, ProjectRunner(manager), UpJournal(), lambda _: nullcontext())
        made = Jobs(world, manager, runs)
        made.scope = replace(made.scope, loaded=load_project(FILE))

        async def scope_of(_directory: str) -> ProjectScope:
            return made.scope

        runs.run_in(group, scope_of)
        yield made
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("checks", "is_well", "health", "seconds"),
    [
        ({"interval": "10s"}, True, HealthStatus.HEALTHY, (0, 1)),
        ({"interval": "10s", "initialDelay": "50s"}, True, HealthStatus.HEALTHY, (50, 51)),
        ({"interval": "10s", "failureThreshold": 3}, False, HealthStatus.UNHEALTHY, (15, 31)),
        ({"interval": "1h", "failureThreshold": 3}, False, HealthStatus.CHECKING, (90, 91)),
        ({"interval": "10s", "initialDelay": "91s"}, True, HealthStatus.UNKNOWN, (0, 1)),
    ],
)
async def test_an_up_waits_until_checks_have_shown_whether_what_it_brought_up_is_healthy(
    checks: JsonObject, is_well: bool, health: HealthStatus, seconds: tuple[float, float]
) -> None:
    async with checked(World(healthy=is_well), checks) as project:
        began = anyio.current_time()
        report = await project.up()
        assert seconds[0] <= anyio.current_time() - began < seconds[1]
        assert report.is_good
        is_open = health in (HealthStatus.CHECKING, HealthStatus.UNKNOWN)
        assert report.undecided == ({"db", "api"} if is_open else set())
        assert {project.manager.view(name).health for name in ("db.shop", "api.shop")} == {health}
        if health is HealthStatus.UNKNOWN:
            assert (await project.up()).undecided == {"db", "api"}, "it is not checked before its time"
            await anyio.sleep(91)
            assert (await project.up()).undecided == set()


async def test_a_service_that_is_up_for_long_is_checked_by_an_up_after_a_restart_of_ostler() -> None:
    world, store, checks = World(), MemoryStore(), {"interval": "10s", "initialDelay": "2h"}
    async with checked(world, checks, store) as project:
        assert (await project.up()).undecided == {"db", "api"}
        await anyio.sleep(7300)
        assert (await project.up()).undecided == set()
    async with checked(world, checks, store) as project:
        await project.manager.recovered.wait()
        began = anyio.current_time()
        assert (await project.up()).undecided == set()
        assert anyio.current_time() - began < 1
        assert project.manager.view("db.shop").health is HealthStatus.HEALTHY


async def test_what_is_not_healthy_when_the_wait_is_over_is_named_with_what_to_do(shop: Path) -> None:
    # The virtual clock jumps while a thread reads a file, also over hours: no number of checks is to decide.
    checks = "{interval: 1h, failureThreshold: 1000000}"
    (shop / "ostler.yaml").write_text(f"services: {{db: {{class: basic, healthCheck: {checks}}}}}\n")
    async with (
        ledger(World(healthy=False)) as app,
        anyio.create_task_group() as group,
        Client(server_over(app)) as client,
    ):
        app.projects.run_in(group)
        said = await client.call_tool("project_up", {"directory": str(shop)})
        while said.structured_content["unfinished"]:
            said = await client.call_tool("project_up", {"directory": str(shop)})
        assert (said.is_error, said.structured_content["notHealthyYet"]) == (False, ["db.shop"])
        first, *_, last = text_of(said).splitlines()
        assert first == "project shop: 1 not healthy yet"
        steps = "service_wait db.shop with health=healthy waits on; service_explain db.shop says what its checks found"
        assert last == f"Next: {steps}"
        group.cancel_scope.cancel()


async def test_a_wait_for_health_is_said_and_keeps_no_other_up_of_the_project_waiting() -> None:
    async with checked(World(healthy=False), {"interval": "20s"}) as project:
        late = await project.up(timeout=5)
        assert late.unfinished == ["db", "api"]
        assert late.waiting["api"] == "waits until its health checks show whether it is healthy"
        project.scope = replace(project.scope, loaded=load_project(FILE.replace("size: 1", "size: 2")))
        late = await project.up(timeout=5)
        assert late.changes["api"].kind is ChangeKind.REPLACE
        for name in ("api.shop", "db.shop"):
            await project.manager.stop_service(name)
        with anyio.fail_after(1):
            assert (await project.up()).is_good, "what is not up any more is not waited for"


async def test_what_waits_for_the_end_of_a_job_at_work_is_said(jobs: Jobs) -> None:
    needing = JOBS + "  api: {class: once, dependsOn: {seed: completed}}\n"
    jobs.scope = replace(jobs.scope, loaded=load_project(needing))
    report = await jobs.up(timeout=5)
    assert (report.unfinished, report.waiting) == (
        ["seed", "api"],
        {"seed": "is at work; api waits until it has ended"},
    )
    jobs.world.always["w/status"] = DONE
    report = await jobs.up()
    assert (report.failures, report.waiting) == ({}, {})


async def test_a_job_at_work_is_not_cut_off_by_a_change_of_it_or_of_what_it_needs(jobs: Jobs) -> None:
    jobs.scope = replace(jobs.scope, loaded=load_project(JOBS + "  old: {class: once}\n"))
    assert (await jobs.up(timeout=5)).is_good
    changed = JOBS.replace("{class: basic}", "{class: basic, args: {size: 2}}").replace(
        "seed: {class: once}", "seed: {class: once, args: {size: 2}}"
    )
    jobs.scope = replace(jobs.scope, loaded=load_project(changed))
    plan = await changes_of(jobs.scope, ["db", "test", "seed"], jobs.manager)
    waits = {name: f"waits until {name}.shop, which is at work, has ended" for name in ("test", "seed", "old")}
    assert {each.name: (each.kind, each.reason) for each in plan} == {
        "db": ("replace", f"changed: args size; {waits['test']}"),
        "test": ("keep", ""),
        "seed": ("replace", f"changed: args size; {waits['seed']}"),
        "old": ("remove", f"it left ostler.yaml; {waits['old']}"),
    }
    report = await jobs.up(timeout=60)
    assert (sorted(report.unfinished), jobs.starts) == (["db", "seed", "test"], 4)
    assert report.waiting["seed"] == f"{waits['seed']}; service_stop seed.shop ends it now"
    assert report.waiting["db"] == f"{waits['test']}; service_stop test.shop ends it now"
    said: list[str | None] = []

    async def listen(_done: float, _total: float | None, message: str | None) -> None:
        said.append(message)

    await jobs.runs.up(jobs.scope, (), timeout=1, progress=listen)
    assert f"seed {report.waiting['seed']}" in said, "also to who comes later"
    await jobs.manager.stop_service("test.shop")
    await until(lambda: jobs.starts == 6)  # the database, and the job that it needs
    jobs.world.always["w/status"] = DONE
    report = await jobs.up()
    assert (report.is_good, report.waiting, jobs.starts) == (True, {}, 7)
    assert jobs.manager.registry.find("old.shop") is None


async def test_a_job_that_pauses_before_it_is_tried_again_is_replaced_at_once(jobs: Jobs) -> None:
    policy = "restartPolicy: {policy: on-failure, backoff: {initial: 1h, max: 1h}}"
    jobs.scope = replace(
        jobs.scope, loaded=load_project(JOBS.replace("seed: {class: once", f"seed: {{class: once, {policy}"))
    )
    await jobs.up("seed", timeout=5)
    jobs.world.always["w/status"] = Answer({"state": "broken"})
    await until(lambda: jobs.manager.view("seed.shop").state is ServiceState.RETRYING)
    jobs.world.always["w/status"] = DONE
    jobs.scope = replace(
        jobs.scope, loaded=load_project(JOBS.replace("seed: {class: once", "seed: {class: once, args: {size: 2}"))
    )
    report = await jobs.up("seed", timeout=60)
    assert (report.jobs, report.changes["seed"].reason) == (["seed"], "changed: args size")


async def test_a_job_that_works_is_unfinished_from_its_start_and_its_end_is_said_however_soon_it_comes(
    jobs: Jobs,
) -> None:
    jobs.lingers = 10
    assert (await jobs.up("seed", timeout=5)).unfinished == ["seed"], "its run is not over"
    jobs.world.seconds["db.shop"] = 40
    reports: list[ProjectReport] = []
    async with anyio.create_task_group() as group:

        async def bring() -> None:
            reports.append(await jobs.up("db", "seed"))

        group.start_soon(bring)
        await until(lambda: jobs.starts == 2)
        jobs.world.always["w/status"] = DONE
    assert reports[0].jobs == ["seed"], "it worked when the call came, and ended before the other service was up"


@pytest.mark.parametrize("leaves", [False, True], ids=["waits no longer", "is cancelled"])
@pytest.mark.parametrize(("pause", "starts"), [(OWED_SECONDS - 5, 2), (OWED_SECONDS + 5, 3)])
async def test_how_a_job_failed_is_said_to_who_waits_on_and_not_much_later(
    jobs: Jobs, pause: float, starts: int, leaves: bool
) -> None:
    with anyio.move_on_after(3):  # a client's own limit, or Ctrl-C
        assert (await jobs.up("test", timeout=50 if leaves else 2)).unfinished == ["test"]
    jobs.world.always["w/status"] = Answer({"state": "broken"})
    await until(lambda: jobs.manager.view("test.shop").state is ServiceState.FAILED)
    await anyio.sleep(pause)
    report = await jobs.up("test", timeout=20)
    assert 'state was "broken"' in str(report.failures["test"])
    assert jobs.starts == starts, "who asks much later wants it to be tried again"
    before = jobs.starts
    assert (await jobs.up("test", timeout=20)).failures
    assert jobs.starts == before + 1, "it was said"


async def test_what_becomes_of_a_job_that_is_waited_for(jobs: Jobs) -> None:
    said: list[str] = []

    async def bring() -> None:
        try:
            report = await jobs.up("seed")
            said.append(report.failures["seed"].summary if report.failures else "completed")
        except SupersededError as error:
            said.append(error.summary)

    async def finish() -> None:
        jobs.world.always["w/status"] = DONE

    async with anyio.create_task_group() as group:

        async def after(act: Callable[[], Any]) -> str:
            group.start_soon(bring)
            await until(lambda: jobs.manager.registry.find("seed.shop") and jobs.manager.view("seed.shop").state.is_up)
            await anyio.sleep(3)
            await act()
            await until(lambda: said)
            return said.pop()

        stopped = await after(lambda: jobs.manager.stop_service("seed.shop"))
        assert stopped == "service 'seed.shop' ended without success: it was stopped"
        gone = await after(lambda: jobs.manager.delete("seed.shop", abandon=True))
        assert gone == "service 'seed.shop' ended without success: it was removed"
        jobs.world.resources.clear()

        async def take_down() -> None:
            async with jobs.runs.taking_down("/srv/shop", whole=True):
                pass

        down = await after(take_down)
        assert down == "project shop is not brought up any more: it is taken down"

        async def restart() -> None:
            await jobs.manager.restart_service("seed.shop")
            await anyio.sleep(5)
            assert not said, "it works again"
            await finish()

        assert await after(restart) == "completed"


async def test_an_up_that_waits_for_another_one_ends_with_it_at_a_down(jobs: Jobs) -> None:
    jobs.world.always["w/start"] = Hang()
    ended: list[str] = []

    async def bring(name: str) -> None:
        with pytest.raises(SupersededError, match="taken down"):
            await jobs.up(name)
        ended.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(bring, "db")
        await until(lambda: jobs.starts)
        group.start_soon(bring, "seed")
        await anyio.wait_all_tasks_blocked()
        async with jobs.runs.taking_down("/srv/shop", whole=True):
            await until(lambda: len(ended) == 2)
    assert jobs.starts == 1


@pytest.mark.parametrize("is_repeated", [False, True])
async def test_an_up_that_waits_for_a_down_ends_with_the_next_one(jobs: Jobs, *, is_repeated: bool) -> None:
    async with anyio.create_task_group() as group:

        async def bring() -> None:
            with pytest.raises(SupersededError, match="taken down") if is_repeated else nullcontext():
                await jobs.up("db")

        async with jobs.runs.taking_down("/srv/shop", whole=True):
            group.start_soon(bring)
            await anyio.wait_all_tasks_blocked()
            assert jobs.starts == 0
            if is_repeated:
                async with jobs.runs.taking_down("/srv/shop", whole=True):
                    pass
    assert jobs.starts == int(not is_repeated)


async def test_an_up_that_waits_for_another_one_first_waits_no_longer_in_all(jobs: Jobs) -> None:
    jobs.world.seconds.update({"db.shop": 40, "seed.shop": 40})
    async with anyio.create_task_group() as group:
        group.start_soon(jobs.up, "db")
        await until(lambda: jobs.starts)
        began = anyio.current_time()
        assert (await jobs.up("seed", timeout=50)).unfinished == ["seed"]
        assert anyio.current_time() - began <= 51


async def test_files_that_go_with_their_folder_restart_nothing(shop: Path) -> None:
    hooks: list[Changed] = []

    async def watching(_folder: Path, _patterns: Any, changed: Changed, *_: Any) -> None:
        hooks.append(changed)

    ref = ProjectRef("shop", str(shop))
    scope = ProjectScope(ref, ref, load_project("services:\n  api: {class: basic, watch: x}\n"))
    world = World()
    async with running(world, manifest()) as manager, anyio.create_task_group() as group:
        watches = ProjectWatches(manager, ignore, watching)
        watches.run_in(group)
        assert (await ProjectRunner(manager).up(scope)).is_good
        watches.watch(scope)
        await until(lambda: hooks)
        await hooks[0]("api", "x")
        await until(lambda: len(world.tools_called("w/start")) == 2)
        api = manager.registry.get("api.shop")
        await until(lambda: api.state.is_up)
        (shop / "ostler.yaml").unlink()
        before = manager.events.last_cursor
        await hooks[0]("api", "x")
        assert manager.events.last_cursor == before


async def test_the_files_of_a_first_up_are_watched_while_it_starts_services_and_count_after_it(shop: Path) -> None:
    """To watch thousands of folders takes longer than many a start: no one waits for it after the last one."""
    started: list[int] = []
    wants: list[anyio.Event] = []
    world = World()

    async def watching(_folder: Path, _patterns: Any, _changed: Changed, begun: Any, wanted: anyio.Event) -> None:
        started.append(len(world.tools_called("w/start")))
        wants.append(wanted)
        await wanted.wait()
        started.append(len(world.tools_called("w/start")))
        begun()
        await anyio.sleep_forever()

    ref = ProjectRef("shop", str(shop))
    scope = ProjectScope(ref, ref, load_project("services:\n  api: {class: basic, watch: x}\n"))
    async with running(world, manifest()) as manager, anyio.create_task_group() as group:
        watches = ProjectWatches(manager, ignore, watching)
        watches.run_in(group)
        with anyio.CancelScope() as cut_off:
            async with watches.after(scope):
                await until(lambda: wants)
                cut_off.cancel()
                await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert started == [0], "an up that is cut off leaves no watch behind"
        for _ in range(2):
            async with watches.after(scope):
                await until(lambda: len(wants) == 2)
                await ProjectRunner(manager).up(scope)
        assert started == [0, 0, 1]
        group.cancel_scope.cancel()


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
async def test_files_that_cannot_be_watched_are_said_and_watched_again_by_the_next_up(
    shop: Path, kind: type[Exception]
) -> None:
    looks = 0

    async def watching(*_: Any) -> None:
        nonlocal looks
        looks += 1
        raise kind("OS file watch limit reached")

    ref = ProjectRef("shop", str(shop))
    scope = ProjectScope(ref, ref, load_project("services:\n  api: {class: basic, watch: x}\n"))
    async with running(World(), manifest()) as manager, anyio.create_task_group() as group:
        watches = ProjectWatches(manager, ignore, watching)
        watches.run_in(group)
        for times in (1, 2):
            async with watches.after(scope):
                await until(lambda times=times: looks == times)
                await anyio.wait_all_tasks_blocked()
            await anyio.wait_all_tasks_blocked()
            assert looks == times, "once for each up"
            said = manager.events.read(kinds=[EventKind.WARNING]).events
            assert len(said) == times
            assert "limit reached" in said[-1].message
            assert "project_up" in said[-1].message


async def test_a_lease_runs_from_when_the_last_client_that_works_in_the_project_has_left(
    shop: Path, worktree: Path
) -> None:
    for folder in (shop, worktree):
        leased = "class: basic, lease: 2m, leaseRenewal: client"
        text = f"services:\n  db: {{shared: true, {leased}}}\n  api: {{dependsOn: db, {leased}}}\n"
        (folder / "ostler.yaml").write_text(text)
    entry = manifest(lifecycleTools__healthCheck=None, healthCheck=None)
    async with running(World(), entry) as manager, anyio.create_task_group() as group:
        projects = HostedProjects(manager, dict)
        projects.run_in(group)
        await up(projects, shop)
        await up(projects, worktree)

        async def running_after(minutes: float) -> set[str]:
            await anyio.sleep(60 * minutes)
            return {view.name for view in manager.views() if view.state is ServiceState.RUNNING}

        folder, first = str(worktree / "src"), object()
        with projects.clients.connected(folder, first):
            projects.clients.note_call(folder, first)
            with projects.clients.connected(str(worktree)), projects.clients.connected(""):
                assert await running_after(3.5) == {"db.shop", "api.fix.shop"}, "what it uses as well"
            assert await running_after(5) == {"db.shop", "api.fix.shop"}, "one of two has left"
            assert manager.view("api.shop").reason == "lease-expired"
            projects.clients.note_call(folder, first)
            projects.clients.note_call(str(shop), first)
        assert projects.clients.present() == set(), "it has left, however lately it called, from whatever folder"
        with projects.clients.connected(folder, second := object()):
            projects.clients.note_call(folder)
            projects.clients.note_call(folder, second)
        assert projects.clients.present() == {folder}, "another client, over HTTP, called a moment ago"
        with projects.clients.connected("", second):
            await anyio.sleep(61)
        assert projects.clients.present() == set()
        assert await running_after(1.7) == {"db.shop", "api.fix.shop"}
        assert await running_after(0.5) == set()
        await up(projects, shop)
        assert await running_after(1.9) == {"db.shop", "api.shop"}
        with projects.clients.connected(str(shop)):
            await anyio.sleep(0.1)  # as a command that only looks
        assert await running_after(1.9) == {"db.shop", "api.shop"}
        assert await running_after(0.2) == set()
        await up(projects, shop)
        for _ in range(4):  # as over HTTP, where a client is there when it asks
            projects.clients.note_call(str(shop))
            assert await running_after(1) == {"db.shop", "api.shop"}
        assert await running_after(3.5) == set()
        group.cancel_scope.cancel()


class FullDisk(UpJournal):
    """A journal that cannot be written as often as `fails` says."""

    fails = 0

    async def end(self, directory: str, opened: list[str] | None = None) -> None:
        if self.fails:
            self.fails -= 1
            raise StoreError("the disk is full")
        await super().end(directory, opened)


async def test_services_of_a_removed_worktree_go_by_policy(shop: Path, worktree: Path) -> None:
    entry = manifest(lifecycleTools__healthCheck=None, healthCheck=None)
    prunes, journal = False, FullDisk()
    async with running(World(), entry) as manager, anyio.create_task_group() as group:
        projects = HostedProjects(manager, dict, journal, prunes=lambda: prunes)
        projects.run_in(group)
        await up(projects, shop)
        await up(projects, worktree)
        away = worktree.with_name("away")

        async def after_looks(count: float) -> set[str]:
            await anyio.sleep(count * PRUNE_SECONDS)
            return {service.name for service in manager.registry.get_all()}

        everything = {"db.shop", "api.shop", "api.fix.shop"}
        worktree.rename(away)
        assert await after_looks(2.5) == everything, "no policy, no change"
        prunes = True  # between two looks
        assert await after_looks(1) == everything, "one look proves nothing"
        away.rename(worktree)
        assert await after_looks(3) == everything
        (worktree / "ostler.yaml").unlink()
        assert await after_looks(3) == everything, "the folder is there"
        shutil.rmtree(worktree)
        worktree.symlink_to(worktree.name)  # as out of reach as on a disk that does not answer
        assert await after_looks(3) == everything
        assert await projects.prune(timeout=None) == []
        worktree.unlink()
        journal.fails = 1
        assert await after_looks(4) == {"db.shop", "api.shop"}
        assert not journal.fails
        assert "its services are removed" in manager.events.read(kinds=[EventKind.WARNING]).events[-1].message
        group.cancel_scope.cancel()


def removed(folder: Path, project: str = "shop") -> bool:
    return is_removed(ProjectRef(project, str(folder)))


def test_a_disk_that_is_not_mounted_removes_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    assert not removed(disk / "shop"), "the folder around it is gone"
    disk.mkdir()
    assert not removed(disk / "shop"), "the folder around it is empty, as where nothing is mounted"
    (disk / "other").touch()
    assert removed(disk / "shop")
    assert not removed(disk)
    (disk / "repository" / ".git").mkdir(parents=True)
    (disk / "repository" / ".claude" / "worktrees").mkdir(parents=True)
    assert removed(disk / "repository" / ".claude" / "worktrees" / "fix"), "the checkout around it is there"
    (disk / "fix").mkdir()
    assert not removed(disk / "fix", "fix.shop"), "it is empty"
    (disk / "fix" / "cache").mkdir()
    assert removed(disk / "fix", "fix.shop"), "a server wrote that while git removed the worktree"
    assert not removed(disk / "fix", "shop"), "no worktree: its file alone is gone"
    (disk / "fix" / ".git").write_text(f"gitdir: {disk}/moved/.git/worktrees/fix\n")
    assert not removed(disk / "fix", "fix.shop"), "its repository was moved"
    (disk / "bare" / "worktrees" / "fix").mkdir(parents=True)
    (disk / "bare" / "worktrees" / "fix" / "commondir").write_text("../..\n")
    (disk / "fix" / ".git").write_text(f"gitdir: {disk}/bare/worktrees/fix\n")
    assert not removed(disk / "fix", "fix.shop"), "its repository is a bare one now"
    (disk / "fix" / ".git").unlink()
    (disk / "fix" / ".git").symlink_to(".git")
    assert not removed(disk / "fix", "fix.shop"), "whether it is a worktree cannot be seen"
    (disk / "loop").symlink_to("loop")
    assert not removed(disk / "loop"), "what is there cannot be seen"


async def test_a_short_name_of_a_worktree_never_means_what_only_the_main_checkout_has(
    shop: Path, worktree: Path
) -> None:
    for folder in (shop, worktree):
        (folder / "ostler.yaml").write_text(f"{FILE}  web: {{class: basic, dependsOn: db}}\n")
    async with life(World(), MemoryStore(), shop) as (_manager, projects):
        await up(projects, shop)
        await up(projects, worktree)
        names = projects.directory
        assert names.full_name("web", str(worktree)) == "web.fix.shop"
        await projects.down(str(worktree), ("web",), timeout=None)
        assert names.full_name("web", str(worktree)) == "web", "a delete of it would remove that of the main checkout"
        assert names.full_name("db", str(worktree)) == "db.shop", "its api uses it"


async def test_an_up_and_a_down_say_what_others_have_undone_meanwhile(shop: Path) -> None:
    world = World(seconds={"api.shop": 2.0})
    async with ledger(world) as app, anyio.create_task_group() as group, Client(server_over(app)) as client:
        app.projects.run_in(group)
        said: list[Any] = []

        async def call_project(tool: str) -> None:
            said.append(await client.call_tool(tool, {"directory": str(shop)}))

        async with anyio.create_task_group() as calls:
            calls.start_soon(call_project, "project_up")
            await until(lambda: app.manager.registry.find("api.shop") is not None)
            await app.manager.delete("db.shop")
        assert text_of(said[0]).splitlines()[:-1] == [
            "project shop: 1 not healthy yet, 1 not up any more",
            "created: db.shop; deleted since",
            "created: api.shop [basic] running, unknown, ledger://r2/1",
            "not checked yet: api.shop, whose first health check is due in 1h",
        ]
        assert [each["state"] for each in said[0].structured_content["services"]] == ["deleted", "running"]
        await app.manager.create(CreateRequest("basic", "db.shop", project=ProjectRef("shop", str(shop))))
        world.faults["w/stop"].extend([Slow(0.2), Slow(2.0)])
        async with anyio.create_task_group() as calls:
            calls.start_soon(call_project, "project_down")
            await until(lambda: app.manager.registry.find("api.shop") is None)
            await app.manager.create(CreateRequest("basic", "api.shop", start=False))
        assert text_of(said[1]).splitlines() == [
            "project shop: 1 made again since",
            "removed: api.shop [basic] stopped; made again since",
            "removed: db.shop",
        ]
        group.cancel_scope.cancel()
