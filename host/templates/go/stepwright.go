package main

// What stands between the handlers of this plugin and the interface of its host, stepwright:step@0.1.0, as far as it also runs
// without one; stepwright_wasm.go is the rest. Made by 'stepwright plugin new'; it is yours to change.

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"time"
)

// StepError is why a step has no output. Any other error is retryable too.
type StepError struct {
	Permanent     bool
	Code, Message string
	// More for programs.
	Details any
	// When to try again; the step's own back-off if it is zero.
	RetryAfter time.Duration
}

func (e *StepError) Error() string { return e.Message }

// Permanent is a failure that no attempt will mend.
func Permanent(code, format string, values ...any) *StepError {
	return &StepError{Permanent: true, Code: code, Message: fmt.Sprintf(format, values...)}
}

// Retryable is a failure that another attempt may mend.
func Retryable(code, format string, values ...any) *StepError {
	return &StepError{Code: code, Message: fmt.Sprintf(format, values...)}
}

// Parent is the output of a direct parent, as JSON; null if it was skipped.
type Parent struct{ Step, Output string }

// host is what the host does for a running handler.
type host interface {
	write(level, message string, fields [][2]string)
	progress(fraction float64, note string)
	cancelled() bool
	secret(name string) (string, bool)
}

// Context is the attempt that a handler runs in.
type Context struct {
	TaskID, StepName string
	// Which try this is, counted from 1.
	Attempt, RetryLimit uint32
	// The same for every attempt of this step: hand it to whatever must not happen twice.
	IdempotencyKey string
	// When the attempt will be ended.
	Deadline time.Time
	// The outputs of the direct parents, in the template's order.
	Parents []Parent
	// The task's labels.
	Tags          map[string]string
	input, config string
	host          host
}

// Config reads the step's configuration; a step without one leaves `into` as it is.
func (c *Context) Config(into any) error {
	if c.config == "null" {
		return nil
	}
	return read(c.config, into, "the step's config", "invalid_config")
}

// Parent reads the output of the direct parent called `step`; one that was skipped leaves `into` as it is.
func (c *Context) Parent(step string, into any) error {
	var known []string
	for _, parent := range c.Parents {
		if parent.Step == step && parent.Output == "null" {
			return nil
		}
		if parent.Step == step {
			return read(parent.Output, into, "the output of parent "+step, "invalid_parent_output")
		}
		known = append(known, parent.Step)
	}
	return Permanent("unknown_parent", "step %s has no parent %s; it has %v", c.StepName, step, known)
}

// Debug and its like write one line into the step's log, with fields: a name and a value each.
func (c *Context) Debug(message string, fields ...any) { c.log("debug", message, fields) }
func (c *Context) Info(message string, fields ...any)  { c.log("info", message, fields) }
func (c *Context) Warn(message string, fields ...any)  { c.log("warn", message, fields) }
func (c *Context) Error(message string, fields ...any) { c.log("error", message, fields) }

func (c *Context) log(level, message string, fields []any) {
	var pairs [][2]string
	for at := 0; at+1 < len(fields); at += 2 {
		pairs = append(pairs, [2]string{fmt.Sprint(fields[at]), fmt.Sprint(fields[at+1])})
	}
	c.host.write(level, message, pairs)
}

// Progress says how far the step is: from 0 to 1, and a note for people.
func (c *Context) Progress(fraction float64, note string) { c.host.progress(fraction, note) }

// Cancelled says whether the attempt was told to stop.
func (c *Context) Cancelled() bool { return c.host.cancelled() }

// Secret is the value of a granted secret, or what stands for it until a request leaves.
func (c *Context) Secret(name string) (string, error) {
	value, granted := c.host.secret(name)
	if !granted {
		return "", Permanent("secret_not_granted", "secret %s is not granted", name)
	}
	return value, nil
}

// Plugin is what this plugin is. The last four are what it would like to be granted.
type Plugin struct {
	Name, Version, Summary                   string
	Handlers                                 []Handler
	Hosts, Directories, Environment, Secrets []string
}

// Handler is one of its handlers.
type Handler struct {
	name, summary         string
	input, config, output reflect.Type
	parents               []parentRead
	run                   func(*Context) (any, error)
}

type parentRead struct {
	step     string
	optional bool
	schema   reflect.Type
}

// Handle makes a function a handler. Schemas follow from the types, as encoding/json sees them: a field that is no pointer and has no
// `omitempty` must be there.
func Handle[In, Out any](name, summary string, run func(In, *Context) (Out, error)) Handler {
	return Handler{
		name:    name,
		summary: summary,
		input:   reflect.TypeFor[In](),
		output:  reflect.TypeFor[Out](),
		run: func(ctx *Context) (any, error) {
			var input In
			if err := read(ctx.input, &input, "the task context", "invalid_input"); err != nil {
				return nil, err
			}
			return run(input, ctx)
		},
	}
}

// WithConfig says what the step's configuration is: a value of its type.
func (h Handler) WithConfig(example any) Handler {
	h.config = reflect.TypeOf(example)
	return h
}

// Reads says that the output of a direct parent is read: templates are checked against it.
func (h Handler) Reads(step string, example any) Handler {
	h.parents = append(h.parents, parentRead{step: step, schema: reflect.TypeOf(example)})
	return h
}

// MayRead says the same of a parent that may be missing.
func (h Handler) MayRead(step string, example any) Handler {
	h.parents = append(h.parents, parentRead{step: step, optional: true, schema: reflect.TypeOf(example)})
	return h
}

// call runs a handler by its name, and returns JSON or why there is none. What nobody thought of may not happen again; the retry limit
// ends it.
func (p Plugin) call(name string, ctx *Context) (output string, failed *StepError) {
	defer func() {
		if panicked := recover(); panicked != nil {
			failed = Retryable("panic", "%v", panicked)
			failed.Details = map[string]string{"stack": string(debug.Stack())}
		}
	}()
	var known []string
	for _, handler := range p.Handlers {
		if handler.name == name {
			value, err := handler.run(ctx)
			if err != nil {
				return "", asStepError(err)
			}
			return asJSON(value), nil
		}
		known = append(known, handler.name)
	}
	return "", Permanent("unknown_handler", "no handler %s: the plugin has %v", name, known)
}

func asStepError(err error) *StepError {
	if failed, ok := err.(*StepError); ok {
		return failed
	}
	return Retryable("error", "%v", err)
}

func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// read reads JSON into what `into` points to, or says where it differs.
func read(text string, into any, subject, code string) error {
	var value any
	err := json.Unmarshal([]byte(text), &value)
	at, why := "", ""
	if err == nil {
		at, why = mismatch(value, reflect.TypeOf(into).Elem(), "")
		if why == "" {
			if err = json.Unmarshal([]byte(text), into); err == nil {
				return nil
			}
		}
	}
	if err != nil {
		why = err.Error()
	}
	place := ""
	if at != "" {
		place = " at " + at
	}
	failed := Permanent(code, "%s cannot be read%s: %s", subject, place, why)
	failed.Details = map[string]string{"at": at, "why": why}
	return failed
}

// field is a field of a struct as JSON has it.
type field struct {
	name     string
	kind     reflect.Type
	required bool
}

func fields(kind reflect.Type) (all []field) {
	for at := range kind.NumField() {
		of := kind.Field(at)
		name, options, _ := strings.Cut(of.Tag.Get("json"), ",")
		if name == "-" || !of.IsExported() {
			continue
		}
		if name == "" {
			name = of.Name
		}
		required := of.Type.Kind() != reflect.Pointer && !strings.Contains(options, "omitempty")
		all = append(all, field{name, of.Type, required})
	}
	return all
}

// typeName is JSON Schema's name of a type; empty if it can be anything.
func typeName(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "array"
	case reflect.Map, reflect.Struct:
		return "object"
	}
	return ""
}

// schema is the JSON Schema of a type; nil of none.
func schema(kind reflect.Type) any {
	if kind == nil {
		return nil
	}
	if kind.Kind() == reflect.Pointer {
		return map[string]any{"anyOf": []any{schema(kind.Elem()), map[string]any{"type": "null"}}}
	}
	of := map[string]any{}
	if name := typeName(kind); name != "" {
		of["type"] = name
	}
	switch kind.Kind() {
	case reflect.Slice:
		of["items"] = schema(kind.Elem())
	case reflect.Map:
		of["additionalProperties"] = schema(kind.Elem())
	case reflect.Struct:
		properties, required := map[string]any{}, []string{}
		for _, field := range fields(kind) {
			properties[field.name] = schema(field.kind)
			if field.required {
				required = append(required, field.name)
			}
		}
		of["properties"], of["required"] = properties, required
	}
	return of
}

// mismatch is where a value differs from a type, and why; no reason if it does not.
func mismatch(value any, kind reflect.Type, at string) (string, string) {
	if kind.Kind() == reflect.Pointer {
		if value == nil {
			return "", ""
		}
		return mismatch(value, kind.Elem(), at)
	}
	found, wanted := "null", typeName(kind)
	switch of := value.(type) {
	case string:
		found = "string"
	case bool:
		found = "boolean"
	case float64:
		found = "number"
		if wanted == "integer" && of == float64(int64(of)) {
			found = "integer"
		}
	case []any:
		found = "array"
	case map[string]any:
		found = "object"
	}
	if wanted != "" && wanted != found {
		return at, "expected " + wanted + ", found " + found
	}
	switch of := value.(type) {
	case []any:
		for place, item := range of {
			if kind.Kind() != reflect.Slice {
				break
			}
			if at, why := mismatch(item, kind.Elem(), fmt.Sprintf("%s[%d]", at, place)); why != "" {
				return at, why
			}
		}
	case map[string]any:
		return mismatchOfObject(of, kind, at)
	}
	return "", ""
}

func mismatchOfObject(object map[string]any, kind reflect.Type, at string) (string, string) {
	below := func(key string) string { return strings.TrimPrefix(at+"."+key, ".") }
	if kind.Kind() == reflect.Map {
		for key, value := range object {
			if at, why := mismatch(value, kind.Elem(), below(key)); why != "" {
				return at, why
			}
		}
	}
	if kind.Kind() != reflect.Struct {
		return "", ""
	}
	for _, field := range fields(kind) {
		value, there := object[field.name]
		if !there && field.required {
			return at, "missing field " + field.name
		}
		if !there {
			continue
		}
		if at, why := mismatch(value, field.kind, below(field.name)); why != "" {
			return at, why
		}
	}
	return "", ""
}

// Recorded is what a handler did in a test, and the secrets that it is granted there.
type Recorded struct {
	Log     []string
	Secrets map[string]string
}

// TestContext is an attempt for a test, without a host.
func TestContext() (*Context, *Recorded) {
	recorded := &Recorded{Secrets: map[string]string{}}
	return &Context{
		TaskID: "1", StepName: "test_step", Attempt: 1, RetryLimit: 3, IdempotencyKey: "task/1/test_step",
		input: "null", config: "null", host: recorded,
	}, recorded
}

func (r *Recorded) write(level, message string, fields [][2]string) {
	line := level + " " + message
	for _, field := range fields {
		line += " " + field[0] + "=" + field[1]
	}
	r.Log = append(r.Log, line)
}

func (r *Recorded) progress(float64, string) {}
func (r *Recorded) cancelled() bool          { return false }
func (r *Recorded) secret(name string) (string, bool) {
	value, granted := r.Secrets[name]
	return value, granted
}
