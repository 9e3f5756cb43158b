// Package client is what the producer and the worker share: a connection that follows the leader, and calls repeated until
// their outcome is known.
package client

import (
	"context"
	"log"
	"os"
	"strings"
	"time"

	"fila.example/fila"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // the service config asks for it
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// Connect reads the nodes' addresses from FILA_SERVERS, and the service config from the file named.
func Connect(serviceConfig string) fila.QueueServiceClient {
	config, err := os.ReadFile(serviceConfig)
	if err != nil {
		log.Fatal(err)
	}
	nodes := manual.NewBuilderWithScheme("fila") // Go has no scheme for a list of addresses
	var state resolver.State
	servers := os.Getenv("FILA_SERVERS")
	if servers == "" {
		servers = "127.0.0.1:50051,127.0.0.1:50052,127.0.0.1:50053"
	}
	for _, address := range strings.Split(servers, ",") {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: address}}})
	}
	nodes.InitialState(state)
	connection, err := grpc.NewClient("fila:///nodes", grpc.WithResolvers(nodes),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(string(config)),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second,
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 2 * time.Second}))
	if err != nil {
		log.Fatal(err)
	}
	return fila.NewQueueServiceClient(connection)
}

// UntilKnown repeats the call with the same request, whose ids make that safe, while nothing was done or nobody knows.
func UntilKnown[Request, Response any](call func(context.Context, Request, ...grpc.CallOption) (Response, error), request Request) Response {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		response, err := call(ctx, request)
		cancel()
		switch status.Code(err) {
		case codes.OK:
			return response
		case codes.Unavailable, codes.Aborted, codes.DeadlineExceeded, codes.Unknown, codes.Internal, codes.Canceled:
			log.Printf("again after %v", err)
			time.Sleep(100 * time.Millisecond)
		default:
			log.Fatal(err)
		}
	}
}
