//go:build !race

package ensemble_test

const raced = false
