// producer CONFIG COUNT puts so many tasks in, each once, whatever becomes of the nodes meanwhile (FILA_SERVERS).
package main

import (
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"strconv"

	"fila.example/client"
	"fila.example/fila"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: producer ../service_config.json COUNT")
	}
	queue := client.Connect(os.Args[1])
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	for number := 0; number < count; number++ {
		// The id is ours: by it a repeat is known to be one.
		task := &fila.NewTask{TaskId: rand.Text(), Payload: []byte(fmt.Sprintf("task %d", number))}
		response := client.UntilKnown(queue.Enqueue, &fila.EnqueueRequest{Queue: "examples", Task: task})
		fmt.Println(response.Receipt.TaskId)
	}
}
