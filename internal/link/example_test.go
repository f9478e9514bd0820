package link_test

import (
	"crypto/rand"
	"fmt"

	"github.com/ensemble-go/ensemble/internal/link"
)

// Two links open a stream. What one wants sent is given to the other; in a program there is a transport in between.
func Example() {
	nonce := func() (n link.Nonce) {
		rand.Read(n[:])
		return n
	}
	one := link.New(link.Config{Self: 1, Name: "example", Nonce: nonce}, 2)
	two := link.New(link.Config{Self: 2, Name: "example", Nonce: nonce}, 1)

	// carry gives each frame to its receiver, and says what comes of it.
	var carry func(name string, to *link.Link, frames []link.Frame)
	carry = func(name string, to *link.Link, frames []link.Frame) {
		var out link.Output
		for _, f := range frames {
			to.Receive(f.Class, f.Bytes, &out)
		}
		if out.Reset {
			fmt.Println(name, "reset")
		}
		if out.Up {
			fmt.Println(name, "up")
		}
		for _, m := range out.Messages {
			fmt.Printf("%s got %q\n", name, m.Bytes)
		}
		if len(out.Frames) > 0 && to == two {
			carry("one", one, out.Frames)
		} else if len(out.Frames) > 0 {
			carry("two", two, out.Frames)
		}
	}

	var out link.Output
	one.Open(&out)
	carry("two", two, out.Frames)

	out.Clear()
	one.Send(link.Log, []byte("first"), &out)
	one.Send(link.Log, []byte("second"), &out)
	carry("two", two, out.Frames)

	out.Clear()
	one.Send(link.Log, []byte("lost"), &out)
	out.Clear()
	one.Send(link.Log, []byte("after a gap"), &out)
	carry("two", two, out.Frames)
	// Output:
	// one up
	// two up
	// two got "first"
	// two got "second"
	// two reset
	// two up
	// one reset
	// one up
}
