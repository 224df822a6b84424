import json
from pathlib import Path

from ostler.adapters.config.paths import Paths
from ostler.adapters.config.tool_files import saved_tools, saved_tools_on_demand


def test_a_saved_list_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    paths = Paths.resolve(tmp_path, tmp_path / "state")
    (tmp_path / "tools").mkdir()
    tools = [{"name": "mine", "inputSchema": {"type": "object"}}]
    (tmp_path / "tools" / "git.json").write_text(json.dumps({"tools": tools}))
    shipped = saved_tools(paths)
    (tmp_path / "tools" / "broken.json").write_text("{")
    reported: list[object] = []
    known = saved_tools_on_demand(paths, reported.append)
    git, time = known.of("git"), known.of("time")
    assert git is not None
    assert list(git.tools) == ["mine"]
    assert time == shipped.of("time")
    assert known.of("nothing") is None
    assert reported == []
    assert known.of("broken") is None
    assert known.server_names == shipped.server_names
    assert ["broken.json" in str(error) for error in reported] == [True]
