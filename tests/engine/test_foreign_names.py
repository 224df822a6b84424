"""Services of classes of another form may have its freer names; their dots are not those of projects."""

import pytest
from tests.support.world import BASIC, World, manifest

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.manager import ServiceManager
from ostler.engine.projects.directory import ProjectDirectory
from ostler.engine.services.views import CreateRequest, ProjectRef
from ostler.model.errors import ArgumentError
from ostler.model.projects import NeedSpec, Overrides
from ostler.rules.reading import load_manifests

pytestmark = pytest.mark.anyio

FOREIGN = """
apiVersion: muster.giantswarm.io/v1alpha1
kind: ServiceClass
metadata: {name: My_Class.v1}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: w/start, args: {name: "{{ .name }}"}}
      stop: {tool: w/stop, args: {name: "{{ .name }}"}}
"""
SHOP = ProjectRef("shop", "/srv/shop")
FIX = ProjectRef("fix-ui.shop", "/srv/fix-ui")


def foreign(world: World) -> ServiceManager:
    manager = ServiceManager(world, MemoryStore())
    manager.classes.add(ClassEntry.of(load_manifests(FOREIGN)[0]))
    manager.classes.add(manifest(BASIC))
    return manager


async def test_names_of_another_form_are_taken_by_its_classes_alone() -> None:
    async with foreign(World()) as manager:
        for name in ("Web_1.a", "web_1.a", "Web", "web", "a.b.c.d", "X"):
            made = await manager.create(CreateRequest("My_Class.v1", name))
            assert made.service.name == name, "each is a service of its own"
        for name in ("../web", "a/b", ".web", "web.", "a b", "a\n", "-a", "ü", "a" * 121):
            with pytest.raises(ArgumentError, match="is not a valid name"):
                await manager.create(CreateRequest("My_Class.v1", name))
        with pytest.raises(ArgumentError, match="lower-case"):
            await manager.create(CreateRequest("basic", "Web_1"))
        with pytest.raises(ArgumentError, match=r"'\.\./x' has a wrong part: '' is not a valid name"):
            await manager.create(CreateRequest("basic", "../x"))
        assert (await manager.create(CreateRequest("My_Class.v1"))).service.name.startswith("My_Class.v1-")


async def test_dots_of_a_name_are_not_those_of_a_project() -> None:
    async with foreign(World()) as manager:
        directory = ProjectDirectory(manager.registry)
        for project in (SHOP, FIX):
            made = await manager.create(CreateRequest("My_Class.v1", "Web_1.a", project=project))
            assert made.service.name == f"Web_1.a.{project.id}"
        full = CreateRequest("My_Class.v1", "db.v2.shop", project=SHOP)
        assert (await manager.create(full)).service.name == "db.v2.shop"
        uses = Overrides.model_construct(depends_on={"db.v2.shop": NeedSpec()})
        await manager.create(CreateRequest("basic", "api", project=FIX, overrides=uses))
        assert directory.full_name("Web_1.a", "/srv/shop/src") == "Web_1.a.shop"
        assert directory.full_name("Web_1.a", "/srv/fix-ui") == "Web_1.a.fix-ui.shop"
        assert directory.full_name("db.v2", "/srv/fix-ui") == "db.v2.shop", "of the main checkout, for its api"
        assert directory.full_name("Web_1.a.shop", "/srv/fix-ui") == "Web_1.a.shop"
        assert directory.full_name("Web_1", "/srv/shop") == "Web_1"
