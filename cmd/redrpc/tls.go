package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

// readPool reads the certificates of --tls-ca.
func readPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file) // #nosec G304 -- the user names the file
	if err != nil {
		return nil, usagef("--tls-ca: expected a PEM file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, usagef("--tls-ca: expected certificates in PEM, found none in %s", file)
	}
	return pool, nil
}

// readPair reads the files of --tls-cert and --tls-key.
func readPair(cert, key string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, usagef("--tls-cert and --tls-key: expected a certificate and its key in PEM: %w", err)
	}
	return pair, nil
}
