package durable

import "github.com/ensemble-go/ensemble/zab"

// leastSnapshot: less than that is read back from the log however small a snapshot is.
const leastSnapshot = 64 << 10

// Recall reads older history back. It returns nothing if a snapshot is less to send: if the log from there on is more than a third of the newest one. A learner
// that is sent a snapshot has to throw away and write anew all that it has, so entries are preferred as long as they are clearly less. It may be called
// beside Append, by any goroutine.
func (s *Store) Recall(r *zab.Read) ([]zab.Entry, error) {
	if r.Whole {
		newest := int64(0)
		for _, i := range s.States.List() {
			if i.Fault == nil && uint64(i.Zxid) == s.newest.Load() {
				newest = i.Size
			}
		}
		if newest > 0 && s.Log.Size(r.After, r.UpTo)+int64(r.Rest) > max(leastSnapshot, newest/3) {
			return nil, nil
		}
	}
	return s.Log.Entries(r.After, r.UpTo, r.Bytes)
}
