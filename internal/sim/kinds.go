package sim

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

// What must hold of the kinds of znodes beyond what the naive tree says: numbers that are never given twice, a tree without holes, reads as their callers may.

// life is a znode from its creation to its deletion.
type parentLife struct {
	path  string
	czxid zab.Zxid
}

// numbered checks the names that a transaction made, as the first member to apply it has them: below one parent the numbers only grow.
func (f *reference) numbered(z zab.Zxid, ops []datatree.Op, results []datatree.Result) error {
	if z <= f.numberedTo {
		return nil
	}
	f.numberedTo = z
	for i, op := range ops {
		o, ok := op.(datatree.CreateOp)
		if !ok || o.Mode&datatree.Sequential == 0 {
			continue
		}
		path := results[i].Path
		n, err := strconv.Atoi(path[max(0, len(path)-10):])
		parent := f.asOf(parentOf(path), z)
		if err != nil || parent == nil || parent.stat.Czxid == z { // that one may be gone again, or there may be another in its place
			continue
		}
		life := parentLife{parentOf(path), parent.stat.Czxid}
		if last, ok := f.numbers[life]; ok && n <= last {
			return fmt.Errorf("inv/C11: %q is made at %v after number %d", path, z, last)
		}
		f.numbers[life] = n
	}
	return nil
}

// delivered takes the outcome of a transaction at a member.
func (f *reference) delivered(d *delivery) error {
	q := f.asked(d.outcome.Name)
	if q == nil || d.outcome.Err != nil {
		return nil
	}
	results := append([]datatree.Result{d.outcome.Result.First}, d.outcome.Result.Rest...)
	if len(q.ops) == 0 || len(results) != len(q.ops) {
		return nil // the answer will tell
	}
	return f.numbered(d.zxid, q.ops, results)
}

// givenAgain reports whether a refusal tells that a sequential create met a znode of its own number.
func givenAgain(q *request, index int, got error) bool {
	if got != datatree.ErrNodeExists || len(q.ops) == 0 {
		return false
	}
	o, ok := q.ops[max(index, 0)].(datatree.CreateOp)
	return ok && o.Mode&datatree.Sequential != 0
}

// checkTree compares a walk with the counters that it shows, and with the children that are listed.
func checkTree(v *datatree.View) error {
	shown := slices.Collect(v.Walk("/"))
	names := map[string][]string{}
	for i := range shown {
		z := &shown[i]
		if z.Stat.EphemeralOwner != 0 && z.Stat.NumChildren > 0 {
			return fmt.Errorf("inv/C13: the ephemeral %q has %d children", z.Path, z.Stat.NumChildren)
		}
		if z.Path != "/" {
			up := parentOf(z.Path)
			names[up] = append(names[up], z.Path[len(up)+min(1, len(up)-1):])
		}
	}
	for i := range shown {
		if list, _ := v.ChildNames(shown[i].Path); !slices.Equal(list, names[shown[i].Path]) {
			return fmt.Errorf("inv/C13: %q lists the children %q, a walk shows %q", shown[i].Path, list, names[shown[i].Path])
		}
	}
	return checkShape(shown)
}

// checkDue compares what a member's tree takes for due with the newest state, if it is there.
func (w *World) checkDue(n *node) {
	t := n.sm.Tree()
	if !w.cfg.Special || t.Zxid() != w.lastCommitted() || n.sm.outstanding() != 0 {
		return
	}
	at := w.ref.time
	var want []datatree.ReapOp
	for path, z := range w.ref.now { // sorted below
		if z.stat.NumChildren == 0 && z.due(atMilli(at)) {
			want = append(want, datatree.ReapOp{Path: path, Czxid: z.stat.Czxid})
		}
	}
	slices.SortFunc(want, func(a, b datatree.ReapOp) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	w.cover("looked for what is due")
	if got := t.Due(at); !slices.Equal(got, want) {
		w.fail("inv/C13", "at %v member %d takes %v for due, the reference says %v", t.Zxid(), n.id, got, want)
	}
}

// glanceAs reads as somebody who may not read everything.
func (w *World) glanceAs(n *node) {
	who, path := callers[w.load.IntN(len(callers))], w.work.path()
	a := n.view.For(who)
	got, err := a.Get(path)
	want, z := w.ref.asOf(path, n.view.Zxid()), n.view.Zxid()
	var expected error
	switch {
	case want == nil:
		expected = datatree.ErrNoNode
	case !may(who, want.acl, datatree.PermRead):
		expected = datatree.ErrNoAuth
		w.cover("read refused by an ACL")
	}
	_, errOfExists := a.Exists(path)
	names, _, errOfChildren := a.Children(path)
	if err != expected || errOfExists != expected || errOfChildren != expected {
		w.fail("inv/C5", "%+v reads %q at %v: %v, %v, %v, the reference says %v", who, path, z, err, errOfExists, errOfChildren, expected)
	}
	if err == nil {
		if err := w.ref.compare(path, z, &got); err != nil {
			w.failWith(err)
		}
		if len(names) != want.stat.NumChildren {
			w.fail("inv/C13", "%q at %v lists %q, the reference says %+v", path, z, names, want.stat)
		}
	}
	list, _, err := n.view.For(nil).ACL(path)
	if want == nil {
		return
	}
	acl := want.acl
	if acl == nil {
		acl = datatree.OpenACL
	}
	if err != nil || !slices.Equal(list, acl) {
		w.fail("inv/C5", "the ACL of %q at %v is %v (%v), the reference says %v", path, z, list, err, acl)
	}
}
