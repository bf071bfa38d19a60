"""The kinds of source there are."""

from collections.abc import Mapping

from daemon.contract import SourceKind
from daemon.sources.builtbybit import BuiltByBitSource

SOURCE_KINDS: Mapping[str, SourceKind] = {
    "builtbybit": SourceKind(BuiltByBitSource.Settings, BuiltByBitSource),
}
