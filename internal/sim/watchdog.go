package sim

// A run that would never end must fail with its seed. What is counted is events and not time, so that it fails at the same place each time.
const (
	mostEvents = 4_000_000 // of a run; the longest of 600 has had a third of it
	mostAtOnce = 100_000   // at one virtual time
)

type watchdog struct {
	events int
	atOnce int // at the present virtual time
}

// watchdog is told of every event before virtual time goes on to it.
func (w *World) watchdog(at Time) {
	d := &w.dog
	if at != w.now {
		d.atOnce = 0
	}
	d.events++
	d.atOnce++
	if d.events > mostEvents || d.atOnce > mostAtOnce {
		w.fail("inv/SPIN", "the run does not end: %d events so far, %d at this time", d.events, d.atOnce)
	}
}
