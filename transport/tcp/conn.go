package tcp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/ensemble-go/ensemble/transport"
)

// batchBytes is how much is taken from a queue at once.
const batchBytes = 256 << 10

// conn is an admitted connection. Two goroutines belong to it, one that reads and one that writes; whichever fails ends the bundle.
type conn struct {
	*stream
	class  transport.Class
	b      *bundle       // set when it is admitted
	ended  chan struct{} // by the goroutine that reads
	batch  batch
	vector net.Buffers // the batch, or what is left of it
}

func newConn(s *stream, class transport.Class) *conn {
	return &conn{stream: s, class: class, ended: make(chan struct{})}
}

// start begins to move frames. It is called from a goroutine that Close waits for.
func (c *conn) start(t *Transport) {
	if c.gather != nil {
		c.gather.start()
	}
	err := c.raw.SetDeadline(time.Time{})
	if err != nil {
		c.b.lose(err)
	}
	t.wait.Go(func() {
		defer close(c.ended)
		c.b.lose(c.read(t))
	})
	t.wait.Go(func() {
		if err := c.write(t); err != nil {
			c.b.lose(err)
		}
	})
}

// timed is a connection that is lost when nothing comes for a time. The deadline is moved only now and then, which costs less.
type timed struct {
	conn    net.Conn
	raw     net.Conn
	silence time.Duration
	set     time.Time
}

func (r *timed) Read(b []byte) (int, error) {
	if now := time.Now(); now.Sub(r.set) > r.silence/8 {
		if err := r.raw.SetReadDeadline(now.Add(r.silence)); err != nil {
			return 0, err
		}
		r.set = now
	}
	return r.conn.Read(b)
}

// read hands frames to the handler until the connection ends, and returns why.
func (c *conn) read(t *Transport) error {
	f := frames{r: &timed{conn: c.conn(), raw: c.raw, silence: t.limits.silence}}
	defer f.release()
	for {
		frame, err := f.next()
		switch {
		case t.ctx.Err() != nil:
			return errClosed
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("%v: nothing came for %v", c.class, t.limits.silence)
		case err == io.EOF:
			return fmt.Errorf("%v: closed by the peer", c.class)
		case err != nil:
			return fmt.Errorf("%v: %w", c.class, err)
		}
		t.handler.Receive(c.b.p.id, c.class, frame)
	}
}

// write sends what is queued until the connection ends.
func (c *conn) write(t *Transport) error {
	q := &c.b.p.queues[c.class]
	beat := time.NewTicker(t.limits.keepAlive)
	defer beat.Stop()
	idle := false // since the last beat
	still := [...]byte{0xff, 0xff, 0xff, 0xff}
	for {
		select {
		case <-c.ended:
			return nil
		default:
		}
		some, ours := q.take(c, &c.batch, batchBytes)
		if !ours {
			q.poke() // it may have been meant for our successor
			return nil
		}
		if some {
			idle = false
			err := c.send(c.batch.vector, t.limits.stall)
			c.batch.release()
			if err != nil {
				return err
			}
			continue
		}
		select {
		case <-q.wake:
		case <-c.ended:
			return nil
		case <-beat.C:
			if time.Since(c.b.begin) > t.limits.handshake && !c.b.complete() {
				return errHalf
			}
			if idle {
				if err := c.send([][]byte{still[:]}, t.limits.stall); err != nil {
					return err
				}
			}
			idle = true
		}
	}
}

func (c *conn) send(vector [][]byte, stall time.Duration) error {
	if c.tls == nil {
		return c.push(vector, stall)
	}
	var one [1][]byte
	for _, b := range vector {
		if _, err := c.tls.Write(b); err != nil {
			return err
		}
		one[0] = c.gather.take()
		if err := c.push(one[:], stall); err != nil {
			return err
		}
	}
	return nil
}

// push writes to the raw connection, by one system call if it can be. A peer that takes nothing for as long as stall is lost; one that is slow is not.
func (c *conn) push(vector [][]byte, stall time.Duration) error {
	c.vector = append(c.vector[:0], vector...)
	all := c.vector
	defer func() { clear(all); c.vector = all[:0] }()
	for len(c.vector) > 0 {
		if err := c.raw.SetWriteDeadline(time.Now().Add(stall)); err != nil {
			return err
		}
		n, err := c.vector.WriteTo(c.raw)
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("%v: the peer takes nothing for %v", c.class, stall)
			}
			return err
		}
	}
	return nil
}
