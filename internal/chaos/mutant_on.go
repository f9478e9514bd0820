//go:build mutants

package main

import "github.com/ensemble-go/ensemble/internal/mutant"

// setMutant gives this process a known mistake.
func setMutant(name string) error {
	mutant.Set(name)
	return nil
}
