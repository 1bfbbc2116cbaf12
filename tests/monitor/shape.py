"""Comparing two JSON documents: their keys, the types of their values, and values that must agree."""


def kind(value):
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"


def differences(ours, theirs, same=(), only_theirs=(), only_ours=(), path=""):
    """List what is different. same: keys whose values must be equal, at any depth. only_theirs,
    only_ours: paths that one of them may have alone; array places are written []."""
    if kind(ours) != kind(theirs):
        return [f"{path}: {kind(ours)} here, {kind(theirs)} there"]
    found = []
    if isinstance(ours, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            below = f"{path}.{key}" if path else key
            if key not in theirs:
                if below not in only_ours:
                    found.append(f"{below}: only here: {ours[key]!r}")
            elif key not in ours:
                if below not in only_theirs:
                    found.append(f"{below}: only there: {theirs[key]!r}")
            else:
                if key in same and ours[key] != theirs[key]:
                    found.append(f"{below}: {ours[key]!r} here, {theirs[key]!r} there")
                found += differences(ours[key], theirs[key], same, only_theirs, only_ours, below)
    elif isinstance(ours, list):
        if len(ours) != len(theirs) and path not in only_theirs:
            found.append(f"{path}: {len(ours)} entries here, {len(theirs)} there")
        for mine, yours in zip(ours, theirs):
            found += differences(mine, yours, same, only_theirs, only_ours, path + "[]")
    return found
