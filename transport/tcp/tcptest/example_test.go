package tcptest_test

import (
	"crypto/x509"
	"fmt"
	"log"
	"os"

	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

// What each of two processes needs to try TLS.
func ExampleWriteFiles() {
	dir, err := os.MkdirTemp("", "ensemble-ca-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := tcptest.WriteFiles(dir, 1, 2); err != nil {
		log.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		fmt.Println(f.Name())
	}

	one, err := tcptest.ReadFiles(dir, 1) // in the process of member 1
	if err != nil {
		log.Fatal(err)
	}
	certificate := one.Certificates[0].Leaf
	_, err = certificate.Verify(x509.VerifyOptions{Roots: one.RootCAs})
	fmt.Println(certificate.URIs[0], err)
	// Output:
	// 1.pem
	// 2.pem
	// ca.pem
	// ensemble:1 <nil>
}
