"""What stands between the handlers of this plugin and the interface of its host, stepwright:step@0.1.0.

Made by 'stepwright plugin new'; it is yours to change. Outside a component the handlers are plain functions, and
`Context.for_test()` stands in for an attempt.
"""

import dataclasses
import json
import sys
import traceback
import types
import typing

try:
    from componentize_py_types import Err
    from wit_world import exports
    from wit_world.imports import host, log
    from wit_world.imports import types as wire

    Base = exports.Handler
except ImportError:  # A test, or the author's editor.
    host = log = wire = None
    Base = object


class StepError(Exception):
    """Why a step has no output."""

    def __init__(self, message, *, code=None, details=None):
        super().__init__(message)
        self.message, self.code, self.details = message, code, details


class Permanent(StepError):
    """A failure that no attempt will mend."""


class Retryable(StepError):
    """A failure that another attempt may mend."""

    def __init__(self, message, *, code=None, details=None, retry_after_ms=None):
        super().__init__(message, code=code, details=details)
        self.retry_after_ms = retry_after_ms


class Context:
    """The attempt that a handler runs in."""

    def __init__(self, facts):
        self._facts = facts
        # What a test looks at afterwards.
        self.logs, self.marks, self.secrets = [], [], {}

    @classmethod
    def for_test(cls, *, config=None, parents=None, tags=None, secrets=None, attempt=1, retry_limit=3):
        """An attempt for a test; what the handler logs is in `logs`, as (level, message, fields)."""
        parents = [
            types.SimpleNamespace(step=step, output=json.dumps(output)) for step, output in (parents or {}).items()
        ]
        tags = [types.SimpleNamespace(key=key, value=value) for key, value in (tags or {}).items()]
        context = cls(
            types.SimpleNamespace(
                task_id="1",
                step_name="test_step",
                attempt=attempt,
                retry_limit=retry_limit,
                idempotency_key="task-1-test_step",
                deadline_ms=1_767_225_630_000,
                task_context="null",
                config=json.dumps(config),
                parents=parents,
                tags=tags,
            )
        )
        context.secrets = secrets or {}
        return context

    def __getattr__(self, name):
        # task_id, step_name, attempt, retry_limit, idempotency_key, deadline_ms.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._facts, name)

    @property
    def tags(self):
        """The task's labels."""
        return {tag.key: tag.value for tag in self._facts.tags}

    @property
    def parents(self):
        """The outputs of the direct parents, by step."""
        return {parent.step: json.loads(parent.output) for parent in self._facts.parents}

    def config(self, kind=dict):
        """The step's configuration, as a `kind`; a step without one has an empty object."""
        value = json.loads(self._facts.config)
        return _read({} if value is None else value, kind, "the step's config", "invalid_config")

    def parent(self, step, kind=typing.Any):
        """The output of the direct parent called `step`, as a `kind`; None if it was skipped."""
        parents = self.parents
        if step not in parents:
            known = ", ".join(parents) or "none"
            raise Permanent(f"step {self.step_name} has no parent {step}; it has {known}", code="unknown_parent")
        return _read(parents[step], kind, f"the output of parent {step}", "invalid_parent_output")

    def debug(self, message, **fields):
        self._log("debug", message, fields)

    def info(self, message, **fields):
        self._log("info", message, fields)

    def warn(self, message, **fields):
        self._log("warn", message, fields)

    def error(self, message, **fields):
        self._log("error", message, fields)

    def _log(self, level, message, fields):
        fields = {key: str(value) for key, value in fields.items()}
        if log is None:
            self.logs.append((level, message, fields))
            return
        log.write(log.Level[level.upper()], message, [log.Field(key, value) for key, value in fields.items()])

    def progress(self, fraction, note=""):
        """Says how far the step is: from 0 to 1, and a note for people."""
        if host is None:
            self.marks.append((fraction, note))
        else:
            host.progress(fraction, note)

    def cancelled(self):
        """Whether the attempt was told to stop."""
        return host is not None and host.cancelled()

    def secret(self, name):
        """The value of a granted secret."""
        value = self.secrets.get(name) if host is None else host.secret(name)
        if value is None:
            raise Permanent(f"secret {name} is not granted", code="secret_not_granted")
        return value


def handler(function=None, *, config=None, parents=None):
    """Makes a function a handler: `def name(input: Input, ctx: Context) -> Output`, the types being dataclasses.

    Its first line of documentation is the summary; `config` is the type of the step's configuration, and `parents` has, by step, the
    type of each parent's output that it reads: templates are checked against it.
    """
    if function is None:
        return lambda function: handler(function, config=config, parents=parents)
    function.config = config
    function.parents = parents or {}
    return function


def plugin(name, *, version, summary, handlers, hosts=(), directories=(), environment=(), secrets=()):
    """The plugin: call what this returns `Handler`, and put it in the module that is built."""
    known = {function.__name__: function for function in handlers}

    class Handler(Base):
        def describe(self):
            described = [_describe(function) for function in known.values()]
            wishes = wire.Wishes(list(hosts), list(directories), list(environment), list(secrets))
            return wire.Description(name, version, summary, described, wishes)

        def handle(self, name, context):
            try:
                return _run(known, name, context)
            except StepError as error:
                raise _failure(error)
            except Exception as error:
                # What nobody thought of may not happen again; the retry limit ends it.
                traceback.print_exc(file=sys.stderr)
                message = f"{type(error).__name__}: {error}"
                raise _failure(Retryable(message, code="exception", details=traceback.format_exc()))

    return Handler


def _run(known, name, facts):
    function = known.get(name)
    if function is None:
        message = f"no handler {name}: the plugin has {', '.join(known)}"
        raise Permanent(message, code="unknown_handler")
    value = json.loads(facts.task_context)
    value = _read(value, _hints(function)["input"], "the task context", "invalid_input")
    return json.dumps(function(value, Context(facts)), default=_plain, separators=(",", ":"))


def _failure(error):
    details = None if error.details is None else json.dumps(error.details, default=_plain)
    if isinstance(error, Retryable):
        failure = wire.RetryableError(error.message, error.code, details, error.retry_after_ms)
        return Err(wire.StepError_Retryable(failure))
    return Err(wire.StepError_Permanent(wire.PermanentError(error.message, error.code, details)))


def _hints(function):
    hints = typing.get_type_hints(function)
    output = hints.pop("return", typing.Any)
    return {"input": next(iter(hints.values()), typing.Any), "config": function.config, "output": output}


def _describe(function):
    hints = _hints(function)
    summary = (function.__doc__ or "").strip().split("\n")[0]
    schemas = [None if hints[what] is None else json.dumps(schema(hints[what])) for what in ("input", "config", "output")]
    parents = [wire.ParentDescription(step, False, json.dumps(schema(kind))) for step, kind in function.parents.items()]
    return wire.HandlerDescription(function.__name__, summary, *schemas, parents)


def _plain(value):
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} cannot be JSON")


NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null", dict: "object", list: "array"}


def schema(kind):
    """The JSON Schema of a dataclass, of str, bool, int, float, None, list, dict, Literal, of unions of these, or of Any."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in NAMES:
        return {"type": NAMES[kind]}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        properties = {field.name: schema(hints[field.name]) for field in dataclasses.fields(kind)}
        return {"type": "object", "properties": properties, "required": _required(kind)}
    if origin is list:
        return {"type": "array", "items": schema(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema(arguments[1])}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema(argument) for argument in arguments]}
    return {}


def _required(kind):
    missing = dataclasses.MISSING
    fields = dataclasses.fields(kind)
    return [field.name for field in fields if field.default is missing and field.default_factory is missing]


class _Mismatch(Exception):
    def __init__(self, at, why):
        super().__init__(why)
        self.at, self.why = at, why


def _read(value, kind, subject, code):
    try:
        return _fit(value, kind, "")
    except _Mismatch as wrong:
        at = f" at {wrong.at}" if wrong.at else ""
        details = {"at": wrong.at or ".", "why": wrong.why}
        raise Permanent(f"{subject} cannot be read{at}: {wrong.why}", code=code, details=details) from None


def _fit(value, kind, at):
    """The value as a `kind`, or where it differs from it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in NAMES or origin in (list, dict) or dataclasses.is_dataclass(kind):
        wanted = kind if kind in NAMES else origin or dict
        found = type(value)
        if found is not wanted and (found, wanted) != (int, float):
            raise _Mismatch(at, f"expected {NAMES[wanted]}, found {NAMES[found]}")
    if dataclasses.is_dataclass(kind):
        missing = next((name for name in _required(kind) if name not in value), None)
        if missing is not None:
            raise _Mismatch(at, f"missing field {missing}")
        hints = typing.get_type_hints(kind)
        return kind(**{name: _fit(value[name], hints[name], f"{at}.{name}".lstrip(".")) for name in hints if name in value})
    if origin is list:
        return [_fit(item, arguments[0], f"{at}[{index}]") for index, item in enumerate(value)]
    if origin is dict:
        return {key: _fit(item, arguments[1], f"{at}.{key}".lstrip(".")) for key, item in value.items()}
    if origin is typing.Literal and value not in arguments:
        raise _Mismatch(at, f"expected one of {', '.join(map(repr, arguments))}, found {value!r}")
    if origin in (typing.Union, types.UnionType):
        return _fit_any(value, arguments, at)
    return value


def _fit_any(value, kinds, at):
    wrong = None
    for kind in kinds:
        try:
            return _fit(value, kind, at)
        except _Mismatch as mismatch:
            wrong = mismatch
    raise wrong
