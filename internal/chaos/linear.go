package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/ensemble-go/ensemble"
)

// step is what an operation did to one key, or saw there.
type step struct {
	verb    verb
	version int32 // demanded; -1: any
	refused bool
	code    code
	known   bool // the version that it led to, or that was read
	result  result
	tag     string
}

// znode is the state of a key.
type znode struct {
	exists  bool
	tag     string
	version int32
}

var model = porcupine.Model{
	Init: func() any { return znode{} },
	Step: func(state, input, _ any) (bool, any) {
		z, s := state.(znode), input.(step)
		right := z.exists && (s.version < 0 || s.version == z.version)
		if s.refused {
			switch {
			case s.verb == verbCreate:
				return s.code == codeExists && z.exists, z
			case s.code == codeNoNode:
				return !z.exists, z
			}
			return s.code == codeVersion && z.exists && !right, z
		}
		switch s.verb {
		case verbGet:
			return z.exists == s.result.Exists && (!z.exists || z.tag == s.result.Tag && z.version == s.result.Version), z
		case verbCreate:
			return !z.exists, znode{exists: true, tag: s.tag}
		case verbSet:
			return right && (!s.known || s.result.Version == z.version+1), znode{exists: true, tag: s.tag, version: z.version + 1}
		}
		return right, znode{}
	},
}

// checkable says whether porcupine can judge a part: the key must not have a long history, nor go by itself.
func checkable(p part) bool {
	switch p.Verb {
	case verbSequential, verbEphemeral, verbEphemeralSequential, verbClose:
		return false
	}
	return p.Path != longCounter && p.Path != lockPath && !strings.HasPrefix(p.Path, "/e/")
}

// operations takes the history apart by key. Writes that the log does not have are left out, if nobody was told of them; so are multis that were refused, except for the part that was.
func operations(ops []*op, fate map[*op]ensemble.Zxid) map[string][]porcupine.Operation {
	bound := bounds(ops)
	// Deletes of one key whose outcome is not known cannot be told apart in the log: each counts as the earliest of them, of any version.
	earliest := map[string]int64{}
	for _, p := range ops {
		if p.untoldDelete() {
			if at, ok := earliest[p.Parts[0].Path]; !ok || p.Call < at {
				earliest[p.Parts[0].Path] = p.Call
			}
		}
	}
	keys := map[string][]porcupine.Operation{}
	for _, p := range ops {
		begin, end := p.Call, p.Return
		switch p.Outcome {
		case nothing:
			continue
		case unknown:
			z, ok := fate[p]
			if !ok {
				continue
			}
			end = max(bound(z), p.Call)
			if p.untoldDelete() {
				begin = earliest[p.Parts[0].Path]
			}
		}
		for i, part := range p.Parts {
			if !checkable(part) {
				continue // the oracle has these
			}
			s := step{verb: part.Verb, version: part.Version, tag: part.Tag}
			if p.untoldDelete() {
				s.version = -1
			}
			switch p.Outcome {
			case refused:
				if p.Index >= 0 && p.Index != i {
					continue
				}
				s.refused, s.code = true, p.Code
			case done:
				s.known, s.result = true, p.Results[i]
			}
			keys[part.Path] = append(keys[part.Path], porcupine.Operation{ClientId: p.Client, Input: s, Call: begin, Return: end})
		}
	}
	return keys
}

// linearizable demands an order of the operations on each key, in real time, by which every answer was right.
func linearizable(ops []*op, fate map[*op]ensemble.Zxid, limit time.Duration) (checked int, err error) {
	type key struct {
		path string
		ops  []porcupine.Operation
	}
	work := make(chan key)
	end := time.Now().Add(limit)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for k := range work {
				r := porcupine.Unknown
				if left := time.Until(end); left > 0 {
					r = porcupine.CheckOperationsTimeout(model, k.ops, left)
				}
				mu.Lock()
				switch {
				case r == porcupine.Illegal:
					err = fmt.Errorf("no order of the %d operations on %s explains their answers", len(k.ops), k.path)
				case r == porcupine.Unknown && err == nil:
					err = invalid{fmt.Errorf("porcupine did not finish within %v, with %d operations on %s", limit, len(k.ops), k.path)}
				}
				checked += len(k.ops)
				mu.Unlock()
			}
		})
	}
	for path, ops := range operations(ops, fate) {
		work <- key{path, ops}
	}
	close(work)
	workers.Wait()
	return checked, err
}
