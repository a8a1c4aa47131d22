package main

// The border to the host, laid out as the component model's canonical ABI has it: addresses and lengths of four bytes, and options as
// a number and a value. Made by 'stepwright plugin new'; it is yours to change.

import (
	"slices"
	"time"
	"unsafe"
)

type wireText struct{ at, bytes uint32 }

type wireOption struct {
	some uint32
	text wireText
}

type wireList struct{ at, count uint32 }

type wirePair struct{ first, second wireText }

type wireCall struct {
	name, taskID, stepName wireText
	attempt, retryLimit    uint32
	idempotencyKey         wireText
	deadlineMs             uint64
	taskContext, config    wireText
	parents, tags          wireList
}

type wireOutput struct {
	failed, _ uint32
	json      wireText
}

type wireFailure struct {
	failed, _        uint32
	permanent, _     uint32
	message          wireText
	code, details    wireOption
	hasRetryAfter, _ uint32
	retryAfterMs     uint64
}

type wireParentRead struct {
	step     wireText
	optional uint32
	schema   wireOption
}

type wireHandler struct {
	name, summary         wireText
	input, config, output wireOption
	parents               wireList
}

type wireDescription struct {
	name, version, summary                             wireText
	handlers, hosts, directories, environment, secrets wireList
}

//go:wasmimport stepwright:step/log@0.1.0 write
func hostWrite(level uint32, message unsafe.Pointer, bytes uint32, fields unsafe.Pointer, count uint32)

//go:wasmimport stepwright:step/host@0.1.0 progress
func hostProgress(fraction float64, note unsafe.Pointer, bytes uint32)

//go:wasmimport stepwright:step/host@0.1.0 cancelled
func hostCancelled() uint32

//go:wasmimport stepwright:step/host@0.1.0 secret
func hostSecret(name unsafe.Pointer, bytes uint32, value unsafe.Pointer)

// The garbage collector asks for the time, which nobody may do while the host hands something over: the adapter then gives the last
// one again.
//
//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func pauseClock(paused bool)

// What the host knows the address of must not be collected. It is never let go of: an instance lives for one call.
var kept []any

// Before Go's runtime is there, the adapter asks for memory for itself.
var (
	early     [256 << 10]byte
	earlyUsed uintptr
	started   bool
)

func init() { started = true }

//go:wasmexport cabi_realloc
func wireRealloc(old unsafe.Pointer, oldBytes, align, bytes uint32) unsafe.Pointer {
	if !started {
		base := uintptr(unsafe.Pointer(&early))
		at := (base + earlyUsed + uintptr(align) - 1) &^ (uintptr(align) - 1)
		earlyUsed = at + uintptr(bytes) - base
		// Beyond its end this traps, as it should.
		return unsafe.Pointer(&early[at-base])
	}
	pauseClock(true)
	room := make([]uint64, (bytes+7)/8+1)
	kept = append(kept, room)
	pauseClock(false)
	taken := unsafe.Pointer(unsafe.SliceData(room))
	copy(unsafe.Slice((*byte)(taken), bytes), unsafe.Slice((*byte)(old), oldBytes))
	return taken
}

func give(text string) wireText {
	kept = append(kept, text)
	return wireText{address(unsafe.Pointer(unsafe.StringData(text))), uint32(len(text))}
}

func giveSome(text string, some bool) wireOption {
	if !some {
		return wireOption{}
	}
	return wireOption{1, give(text)}
}

func giveJSON(value any) wireOption {
	if value == nil {
		return wireOption{}
	}
	return giveSome(asJSON(value), true)
}

func giveList[T any](values []T) wireList {
	kept = append(kept, values)
	return wireList{address(unsafe.Pointer(unsafe.SliceData(values))), uint32(len(values))}
}

func giveTexts(texts []string) wireList {
	var given []wireText
	for _, text := range texts {
		given = append(given, give(text))
	}
	return giveList(given)
}

func address(of unsafe.Pointer) uint32 { return uint32(uintptr(of)) }

func (text wireText) take() string {
	if text.bytes == 0 {
		return ""
	}
	return unsafe.String((*byte)(unsafe.Pointer(uintptr(text.at))), text.bytes)
}

func (list wireList) pairs() []wirePair {
	if list.count == 0 {
		return nil
	}
	return unsafe.Slice((*wirePair)(unsafe.Pointer(uintptr(list.at))), list.count)
}

type wasmHost struct{}

func (wasmHost) write(level, message string, fields [][2]string) {
	var given []wirePair
	for _, field := range fields {
		given = append(given, wirePair{give(field[0]), give(field[1])})
	}
	levels := []string{"trace", "debug", "info", "warn", "error"}
	at := unsafe.Pointer(unsafe.StringData(message))
	fieldsAt := unsafe.Pointer(unsafe.SliceData(given))
	hostWrite(uint32(slices.Index(levels, level)), at, uint32(len(message)), fieldsAt, uint32(len(given)))
}

func (wasmHost) progress(fraction float64, note string) {
	hostProgress(fraction, unsafe.Pointer(unsafe.StringData(note)), uint32(len(note)))
}

func (wasmHost) cancelled() bool { return hostCancelled() != 0 }

func (wasmHost) secret(name string) (string, bool) {
	// Not on the stack, which may move while the host asks for memory.
	value := new(wireOption)
	kept = append(kept, value)
	hostSecret(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), unsafe.Pointer(value))
	if value.some == 0 {
		return "", false
	}
	return value.text.take(), true
}

//go:wasmexport stepwright:step/handler@0.1.0#describe
func wireDescribe() unsafe.Pointer {
	var handlers []wireHandler
	for _, handler := range plugin.Handlers {
		var parents []wireParentRead
		for _, parent := range handler.parents {
			read := wireParentRead{step: give(parent.step), schema: giveJSON(schema(parent.schema))}
			if parent.optional {
				read.optional = 1
			}
			parents = append(parents, read)
		}
		handlers = append(handlers, wireHandler{
			name:    give(handler.name),
			summary: give(handler.summary),
			input:   giveJSON(schema(handler.input)),
			config:  giveJSON(schema(handler.config)),
			output:  giveJSON(schema(handler.output)),
			parents: giveList(parents),
		})
	}
	return given(&wireDescription{
		name:        give(plugin.Name),
		version:     give(plugin.Version),
		summary:     give(plugin.Summary),
		handlers:    giveList(handlers),
		hosts:       giveTexts(plugin.Hosts),
		directories: giveTexts(plugin.Directories),
		environment: giveTexts(plugin.Environment),
		secrets:     giveTexts(plugin.Secrets),
	})
}

//go:wasmexport stepwright:step/handler@0.1.0#handle
func wireHandle(at unsafe.Pointer) unsafe.Pointer {
	call := (*wireCall)(at)
	ctx := &Context{
		TaskID:         call.taskID.take(),
		StepName:       call.stepName.take(),
		Attempt:        call.attempt,
		RetryLimit:     call.retryLimit,
		IdempotencyKey: call.idempotencyKey.take(),
		Deadline:       time.UnixMilli(int64(call.deadlineMs)),
		Tags:           map[string]string{},
		input:          call.taskContext.take(),
		config:         call.config.take(),
		host:           wasmHost{},
	}
	for _, parent := range call.parents.pairs() {
		ctx.Parents = append(ctx.Parents, Parent{parent.first.take(), parent.second.take()})
	}
	for _, tag := range call.tags.pairs() {
		ctx.Tags[tag.first.take()] = tag.second.take()
	}
	output, failed := plugin.call(call.name.take(), ctx)
	if failed == nil {
		return given(&wireOutput{json: give(output)})
	}
	failure := wireFailure{
		failed:  1,
		message: give(failed.Message),
		code:    giveSome(failed.Code, failed.Code != ""),
		details: giveJSON(failed.Details),
	}
	if failed.Permanent {
		failure.permanent = 1
	} else if failed.RetryAfter > 0 {
		failure.hasRetryAfter, failure.retryAfterMs = 1, uint64(failed.RetryAfter.Milliseconds())
	}
	return given(&failure)
}

func given[T any](value *T) unsafe.Pointer {
	kept = append(kept, value)
	return unsafe.Pointer(value)
}
