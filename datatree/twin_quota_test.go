package datatree

import (
	"fmt"
	"regexp"
	"strconv"
)

// quota returns where the quota of path is.
func (t *twin) quota(path string) (limits, stats string, ok bool) {
	for ; path != "/"; path = t.parent(path) {
		limits, stats = "/zookeeper/quota"+path+"/zookeeper_limits", "/zookeeper/quota"+path+"/zookeeper_stats"
		if _, found := t.nodes[limits]; found {
			_, ok = t.nodes[stats]
			return limits, stats, ok
		}
	}
	return "", "", false
}

func (t *twin) over(path string, count, bytes int) bool {
	if t == nil {
		return false
	}
	limits, stats, ok := t.quota(path)
	if !ok {
		return false
	}
	l, s := twinQuota(t.nodes[limits].data), twinQuota(t.nodes[stats].data)
	return count != 0 && l[2] >= 0 && s[0]+count > l[2] || bytes != 0 && l[3] >= 0 && s[1]+bytes > l[3]
}

func (t *twin) charge(path string, count, bytes int) {
	if _, stats, ok := t.quota(path); ok && (count != 0 || bytes != 0) {
		s := twinQuota(t.nodes[stats].data)
		t.usage(stats, s[0]+count, s[1]+bytes)
	}
}

func (t *twin) usage(stats string, count, bytes int) {
	n := t.nodes[stats]
	n.data = fmt.Appendf(nil, "count=%d,bytes=%d", count, bytes)
	n.stat.DataLength = len(n.data)
	t.put(stats, &n)
}

var twinNumbers = [4]*regexp.Regexp{
	regexp.MustCompile("(?:^|[,;])count=(-?[0-9]+)=*(?:$|[,;])"), regexp.MustCompile("(?:^|[,;])bytes=(-?[0-9]+)=*(?:$|[,;])"),
	regexp.MustCompile("countHardLimit=(-?[0-9]+)=*(?:$|[,;])"), regexp.MustCompile("byteHardLimit=(-?[0-9]+)=*(?:$|[,;])"),
}

// twinQuota returns count, bytes, hard count and hard bytes.
func twinQuota(text []byte) [4]int {
	q := [4]int{-1, -1, -1, -1}
	for i, number := range twinNumbers {
		if m := number.FindSubmatch(text); m != nil {
			q[i], _ = strconv.Atoi(string(m[1]))
		}
	}
	return q
}
