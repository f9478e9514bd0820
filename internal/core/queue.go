package core

// queue is a first-in first-out list that uses its memory again. The zero value is empty.
type queue[T any] struct {
	list []T
	head int
}

func (q *queue[T]) len() int { return len(q.list) - q.head }

// at returns the i-th from the front.
func (q *queue[T]) at(i int) *T { return &q.list[q.head+i] }

func (q *queue[T]) push(v T) {
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, v)
}

func (q *queue[T]) pop() T {
	v := q.list[q.head]
	var none T
	q.list[q.head] = none
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return v
}
