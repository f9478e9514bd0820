package datatree

import (
	"strconv"
	"strings"
)

// A quota on a path is two znodes, /zookeeper/quota<path>/zookeeper_limits and zookeeper_stats, in the text of ZooKeeper's. Of several paths with limits the
// deepest counts. What is used is kept in the stats by whoever applies a transaction, without a new version of theirs; limits are asked by the leader, against what is
// applied: what is outstanding, other ops of the same multi too, may go beyond them. A hard limit refuses; a soft one is for whoever looks.
const (
	limitsName = "zookeeper_limits"
	statsName  = "zookeeper_stats"
)

// quota is what a quota's znode says, -1 for what it does not.
type quota struct{ count, bytes, hardCount, hardBytes int64 }

// parseQuota reads "count=1,bytes=2", with hard limits "count=1,bytes=2=;byteHardLimit=3;countHardLimit=4". What it cannot read says nothing.
func parseQuota(text []byte) quota {
	q := quota{-1, -1, -1, -1}
	for _, field := range strings.FieldsFunc(string(text), func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, _ := strings.Cut(field, "=")
		n, err := strconv.ParseInt(strings.TrimRight(value, "="), 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "count":
			q.count = n
		case "bytes":
			q.bytes = n
		case "countHardLimit":
			q.hardCount = n
		case "byteHardLimit":
			q.hardBytes = n
		}
	}
	return q
}

// appendUsage appends the text of a stats znode.
func (q quota) appendUsage(b []byte) []byte {
	b = strconv.AppendInt(append(b, "count="...), q.count, 10)
	return strconv.AppendInt(append(b, ",bytes="...), q.bytes, 10)
}

// limited returns the path that a znode with limits is about.
func limited(path string) (string, bool) { return about(path, limitsName) }

func about(path, name string) (string, bool) {
	if !strings.HasPrefix(path, quotaPath+"/") || path[nameAt(path):] != name {
		return "", false
	}
	path = path[len(quotaPath) : nameAt(path)-1]
	return path, path != "" // there is none on "/"
}

// usage returns the version of the stats that path counts in, where it is, and the limits; nil if there are none.
func (t *Tree) usage(path string) (stats *version, s slot, limits *version) {
	for p := path; p != rootPath; p = p[:parentLen(p)] {
		if _, ok := t.quotas[p]; !ok {
			continue
		}
		p = quotaPath + p + "/"
		limits = t.index.find(p+limitsName, hashPath(p+limitsName))
		stats, s = t.index.locate(p+statsName, hashPath(p+statsName))
		if limits == nil || limits.dead || stats == nil || stats.dead {
			return nil, s, nil
		}
		return stats, s, limits
	}
	return nil, s, nil
}

// afford refuses what would go over a hard limit: count more znodes at path, and so many more bytes.
func (t *Tree) afford(path string, count, bytes int) error {
	if len(t.quotas) == 0 {
		return nil
	}
	stats, _, limits := t.usage(path)
	if stats == nil {
		return nil
	}
	used, most := parseQuota(stats.data()), parseQuota(limits.data())
	if count != 0 && most.hardCount > -1 && used.count+int64(count) > most.hardCount ||
		bytes != 0 && most.hardBytes > -1 && used.bytes+int64(bytes) > most.hardBytes {
		return ErrQuotaExceeded
	}
	return nil
}

// charge notes that path has so many more znodes and bytes.
func (t *Tree) charge(path string, count, bytes int) {
	stats, s, _ := t.usage(path)
	if stats == nil || count == 0 && bytes == 0 {
		return
	}
	q := parseQuota(stats.data())
	q.count += int64(count)
	q.bytes += int64(bytes)
	t.tell(stats, s, q)
}

// tell puts what is used into the stats.
func (t *Tree) tell(stats *version, s slot, q quota) {
	t.scratch = q.appendUsage(t.scratch[:0])
	v := t.rewrite(stats, s, t.scratch)
	v.content = xxh64(v.data(), digestPath(v.path()))
}

// account is charge for a new znode. One that holds stats begins with what is there, which takes time for each znode below the path.
func (t *Tree) account(v *version) {
	if path, ok := about(v.path(), statsName); ok {
		var q quota
		if top := t.index.find(path, hashPath(path)); top != nil && !top.dead {
			q = t.weigh(top)
		}
		stats, s := t.index.locate(v.path(), v.entry.hash)
		t.tell(stats, s, q)
	}
	if len(t.quotas) > 0 {
		t.charge(v.path(), 1, int(v.size))
	}
}

// weigh counts a znode and all below it.
func (t *Tree) weigh(v *version) quota {
	q := quota{count: 1, bytes: int64(v.size)}
	stack := []cursor{v.entry.kids.Load().after("")}
	for len(stack) > 0 {
		e := stack[len(stack)-1].next()
		if e == nil {
			stack = stack[:len(stack)-1]
			continue
		}
		if v := t.index.newest(e); v != nil && !v.dead {
			q.count++
			q.bytes += int64(v.size)
			if v.children > 0 {
				stack = append(stack, v.entry.kids.Load().after(""))
			}
		}
	}
	return q
}
