package main

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

// certificates returns the TLS config of a member. If there is no directory DIR/certificates it is made, with a throw-away CA and a certificate for each
// of n members; the members may start at the same time. A service of your own brings certificates of your own instead.
func certificates(dir string, id ensemble.ID, n int) (*tls.Config, error) {
	dir = filepath.Join(dir, "certificates")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := makeCertificates(dir, n); err != nil {
			return nil, err
		}
	}
	return tcptest.ReadFiles(dir, id)
}

func makeCertificates(dir string, n int) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "certificates-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	var ids []ensemble.ID
	for id := range n {
		ids = append(ids, ensemble.ID(id+1))
	}
	if err := tcptest.WriteFiles(tmp, ids...); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil // another member was faster
		}
		return err
	}
	return nil
}
