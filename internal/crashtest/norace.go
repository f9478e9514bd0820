//go:build !race

package crashtest

// Slow is set where everything takes many times as long: explorations are smaller there.
const Slow = false
