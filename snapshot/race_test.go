//go:build race

package snapshot

// slow is set where everything takes many times as long: explorations are smaller there.
const slow = true
