"""Our keys in napari's own page of shortcuts: found there, changed there, kept by us.

napari's action manager binds the keys of an action to a class of layers. Ours are bound to our own
layers, and undo and redo to the viewer, so that no key of napari is taken elsewhere. What a person
changes is kept in a file of ours: napari, which starts before its plugins, would warn of actions
that it does not know yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakSet

from napari import current_viewer
from napari.components import ViewerModel
from napari.layers import Layer
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import Shortcut

from histoprompt._qt.shell.keys import TABLE, Gesture, titled
from histoprompt._qt.shell.messages import show_info, show_warning, told
from histoprompt.core import settings
from histoprompt.core.errors import HistopromptError, ParameterError
from histoprompt.core.files.atomic import replace_file
from histoprompt.core.files.documents import read_json
from histoprompt.core.files.durable import make_folder
from histoprompt.core.strings.wording import capital

Owner: TypeAlias = Layer | ViewerModel
_ACTS = "_histoprompt_acts"
_PLACE = re.compile(r"\{(\w+)\}")
_HELP = "{} This needs its dock: open it from Plugins > histoprompt."


class LayerKeys:
    """Binds the keys of one action to the layers of ours that it works on, or to a viewer.

    It stands where napari's action manager expects a class of layers.

    Parameters
    ----------
    act : str
        As in the table of keys.
    """

    def __init__(self, act: str) -> None:
        self._act = act
        self._keys: list[Any] = []
        self._layers: WeakSet[Any] = WeakSet()

    def add(self, layer: Owner, call: Callable[[], object]) -> None:
        """Let the keys do this on a layer, which keeps what they do."""
        _acts_of(layer)[self._act] = call
        self._layers.add(layer)
        for key in self._keys:
            self._bind(layer, key)

    def bind_key(self, key: Any, *func: Any, overwrite: bool = False) -> Any:
        """As napari's `KeymapProvider.bind_key`: a decorator where no function is given."""
        return self._change(key, *func) if func else partial(self._change, key)

    def _change(self, key: Any, func: Any) -> Any:
        self._keys = [one for one in self._keys if one != key]
        if func is not None:
            self._keys.append(key)
        for layer in self._layers:
            if func is None:
                layer.bind_key(key, None)
            else:
                self._bind(layer, key)
        return func

    def _bind(self, layer: Any, key: Any) -> None:
        def pressed(layer: Owner) -> Iterator[None] | None:
            act = _acts_of(layer).get(self._act)
            if act is not None:
                act()
            return None

        layer.bind_key(key, pressed, overwrite=True)


def bind_keys(layer: Owner, group: str, act_of: Callable[[str], Callable[[], object]]) -> None:
    """Bind the keys of a group to a layer, those that the person has chosen for them.

    Parameters
    ----------
    layer : Layer or ViewerModel
        One of ours, or the viewer for what works anywhere.
    group : str
        A key of `keys.LAYERS`.
    act_of : callable
        What a key does, by the `act` of its gesture.
    """
    register()
    for gesture in TABLE:
        if gesture.group == group and gesture.is_key:
            provider: Any = action_manager._actions[gesture.action].keymapprovider
            provider.add(layer, act_of(gesture.act))


def forget_keys(layer: Owner) -> None:
    """Let the keys that were bound to a layer or a viewer do nothing any more."""
    _acts_of(layer).clear()


def actions() -> Mapping[str, tuple[Gesture, ...]]:
    """The gestures of each action, by its name; those of one action have one key."""
    found: dict[str, tuple[Gesture, ...]] = {}
    for gesture in TABLE:
        if gesture.is_key:
            found[gesture.action] = (*found.get(gesture.action, ()), gesture)
    return found


def register() -> None:
    """Tell napari of our actions and their keys, once in a process."""
    known = actions()
    if next(iter(known)) in action_manager._actions:
        return
    chosen = _chosen()
    for name, (gesture, *_) in known.items():
        does = f"histoprompt: {gesture.does}"
        act: Any = partial(run, gesture.act)
        provider: Any = LayerKeys(gesture.act)
        action_manager.register_action(name, _plain(act), does, provider)
        for key in chosen.get(name, [gesture.input]):
            action_manager.bind_shortcut(name, key)
    action_manager.events.shortcut_changed.connect(_on_changed)
    get_settings().shortcuts.events.shortcuts.connect(_on_settings)


def restore() -> None:
    """Give all our actions their own keys again."""
    for name, (gesture, *_) in actions().items():
        action_manager.unbind_shortcut(name)
        action_manager.bind_shortcut(name, gesture.input)


def run(act: str) -> None:
    """Do what a key does, on the first layer that it works on: the active one, if it can be."""
    viewer = current_viewer()
    layers: Sequence[Layer] = [] if viewer is None else [*viewer.layers]
    active = None if viewer is None else viewer.layers.selection.active
    owners: list[Any] = [*layers] if active is None else [active, *layers]
    for layer in owners if viewer is None else [*owners, viewer]:
        call = _acts_of(layer).get(act)
        if call is not None:
            call()
            return
    does = next(g.does for g in TABLE if g.act == act)
    show_info(_HELP.format(f"{capital(does)}."))


def keys_of(gesture: Gesture) -> str:
    """The keys that a gesture has now, as people write them; what the mouse does as it is."""
    name = gesture.action
    if not gesture.is_key or name not in action_manager._actions:
        return gesture.title
    bound = action_manager._shortcuts.get(name, [])
    return " or ".join(titled(str(Shortcut(key)._kb)) for key in bound) or "no key"


def spelled(text: str) -> str:
    """A text in which ``{act}`` stands for the keys of an act."""
    return _PLACE.sub(lambda found: keys_of(_of_act(found[1])), text)


def _of_act(act: str) -> Gesture:
    return next(gesture for gesture in TABLE if gesture.act.replace(" ", "_") == act)


def _plain(call: Callable[[], None]) -> Callable[[], None]:
    """A function, as napari wants it, which looks at names and signatures."""

    def act() -> None:
        call()

    return act


def _acts_of(layer: Owner) -> dict[str, Callable[[], object]]:
    """What keys do on a layer; kept with it, so that it goes with it."""
    whole = getattr(layer, "__wrapped__", layer)  # a viewer given to plugins is wrapped
    acts: dict[str, Callable[[], object]] = vars(whole).setdefault(_ACTS, {})
    return acts


# -- what a person changes ---------------------------------------------------------------------


def _file() -> Path:
    return settings.home() / "keys.json"


def _chosen() -> dict[str, list[str]]:
    """The keys that the person has given to actions, by name."""
    path = _file()
    if not path.is_file():
        return {}
    try:
        found = read_json(path, ParameterError)
    except HistopromptError as error:
        show_warning(f"Your own keys are not used: {told(error)}")
        return {}
    known = actions()
    return {
        name: [str(key) for key in keys]
        for name, keys in (found.items() if isinstance(found, dict) else ())
        if name in known and isinstance(keys, list)
    }


def _on_changed(event: Any) -> None:
    """Keep the keys that differ from those of the table."""
    known = actions()
    if event.name not in known:
        return
    now = {name: [str(k) for k in action_manager._shortcuts.get(name, [])] for name in known}
    own = {name: keys for name, keys in now.items() if keys != [known[name][0].input]}
    make_folder(_file().parent)
    replace_file(_file(), json.dumps(own, indent=1))


def _on_settings(_: object) -> None:
    """Take our actions out of napari's settings; see the top of this file."""
    kept = get_settings().shortcuts.shortcuts
    ours = [name for name in kept if name in actions()]
    for name in ours:
        del kept[name]
