// worker CONFIG NAME works tasks off until it is stopped, whatever becomes of the nodes meanwhile (FILA_SERVERS).
package main

import (
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"time"

	"fila.example/client"
	"fila.example/fila"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The work. It must bear to be done twice: a lease that ends before the ack, by a pause of ours, gives the task again.
func handle(task *fila.LeasedTask) string { return string(task.Payload) }

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: worker ../service_config.json NAME")
	}
	queue := client.Connect(os.Args[1])
	for {
		// The request's id is ours: its repeat gets the same leases, not others.
		leased := client.UntilKnown(queue.Dequeue, &fila.DequeueRequest{
			Queue: "examples", MaxTasks: 10, Wait: durationpb.New(5 * time.Second),
			LeaseDuration: durationpb.New(30 * time.Second), WorkerId: os.Args[2], RequestId: rand.Text()})
		for _, task := range leased.Tasks {
			done := handle(task)
			lease := &fila.LeaseRef{TaskId: task.TaskId, LeaseToken: task.LeaseToken}
			acked := client.UntilKnown(queue.Ack, &fila.AckRequest{Queue: "examples", Leases: []*fila.LeaseRef{lease}})
			switch acked.Results[0].Status {
			case fila.AckStatus_ACK_STATUS_OK, fila.AckStatus_ACK_STATUS_ALREADY_DONE:
				fmt.Println(task.TaskId, task.Attempt, done)
			}
		}
	}
}
