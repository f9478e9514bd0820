package crashtest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// found returns what in the output of a test tells that it failed as it is meant to. A test that broke down has found nothing, unless that is what is meant.
func found(out, test, says string) (string, error) {
	if says == "" {
		return "", errors.New("the row does not tell what the test says")
	}
	want, err := regexp.Compile(says)
	if err != nil {
		return "", err
	}
	if !strings.Contains(out, "--- FAIL: "+test+" (") {
		return "", fmt.Errorf("%s has not failed", test)
	}
	for _, end := range []string{"panic: ", "deadlock", "fatal error: ", "DATA RACE"} {
		if strings.Contains(out, end) && !strings.Contains(says, end) {
			return "", fmt.Errorf("it ended by a %s", end)
		}
	}
	said := want.FindString(out)
	if said == "" {
		return "", fmt.Errorf("it does not say %q", says)
	}
	return said, nil
}
