// The usual first program: a goroutine a file, compress/gzip, and a WaitGroup.
package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
)

func main() {
	var group sync.WaitGroup
	for _, name := range os.Args[1:] {
		group.Add(1)
		go func(name string) {
			defer group.Done()
			if err := compress(name); err != nil {
				log.Fatal(err)
			}
		}(name)
	}
	group.Wait()
	fmt.Printf("Compressed %d files\n", len(os.Args)-1)
}

func compress(name string) error {
	input, err := os.Open(name)
	if err != nil {
		return err
	}
	defer input.Close()
	output, err := os.Create(name + ".gz")
	if err != nil {
		return err
	}
	defer output.Close()
	writer := gzip.NewWriter(output)
	if _, err := io.Copy(writer, input); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return os.Remove(name)
}
