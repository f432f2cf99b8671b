using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>
/// Times what a step of training consists of on this machine's CPU, at a model's sizes: a map's three products, an adapter's, attention
/// with its gradient, an elementwise pass, the least operation, and a socket.
/// </summary>
internal static class MeasureRunner
{
    private const int Repetitions = 5;
    private const int Elements = 1 << 24; // 64 MB: no cache keeps them
    private const int SocketChunk = 1 << 20, SocketChunks = 128;

    // Shape letters: L positions, D width, F twice the MLP's width, R rank, H heads, S head size.

    /// <param name="publish">(phase, done, of).</param>
    public static MeasureResult Run(MeasureJob job, Action<string, int, int> publish, CancellationToken stop)
    {
        var (started, process) = (Stopwatch.GetTimestamp(), Environment.WorkingSet);
        publish("measuring this machine", 0, 0);
        using var scope = NewDisposeScope();
        using var random = new Generator(1, CPU);
        long tokens = job.Tokens, width = job.Width, inner = 2 * job.Intermediate;
        var (x_LD, w_DF, dy_LF) = (Random(tokens, width), Random(width, inner), Random(tokens, inner));
        var products = 3 * 2.0 * tokens * width * inner / Seconds(() =>
        {
            using var scope = NewDisposeScope();
            _ = x_LD.mm(w_DF);
            _ = dy_LF.mm(w_DF.t());
            _ = x_LD.t().mm(dy_LF);
        });
        var (a_DR, dy_LR) = (Random(width, job.Rank), Random(tokens, job.Rank));
        var thin = 3 * 2.0 * tokens * width * job.Rank / Seconds(() =>
        {
            using var scope = NewDisposeScope();
            _ = x_LD.mm(a_DR);
            _ = dy_LR.mm(a_DR.t());
            _ = x_LD.t().mm(dy_LR);
        });
        Tensor[] qkv_1HLS = [.. Enumerable.Range(0, 3).Select(_ => Random(1, job.Heads, tokens, width / job.Heads).requires_grad_())];
        var attention = 3.5 * 2.0 * tokens * tokens * width / Seconds(() =>
        {
            using var scope = NewDisposeScope();
            nn.functional.scaled_dot_product_attention(qkv_1HLS[0], qkv_1HLS[1], qkv_1HLS[2], is_casual: true).sum().backward();
        });
        var large = Random(Elements);
        var bytes = 2.0 * sizeof(float) * Elements / Seconds(() => large.sigmoid().Dispose());
        var small = Random(1);
        const int Operations = 1000;
        var operation = Seconds(() =>
        {
            for (var n = 0; n < Operations; n++) small.Plus(small).Dispose();
        }) / Operations;
        return new(products, thin, attention, bytes, operation, SocketBytes(), process, Stopwatch.GetElapsedTime(started).TotalSeconds);

        Tensor Random(params long[] shape) => randn(shape, generator: random);

        double Seconds(Action work)
        {
            var least = double.PositiveInfinity; // the time it takes when nobody disturbs
            for (var n = 0; n <= Repetitions; n++)
            {
                stop.ThrowIfCancellationRequested();
                var start = Stopwatch.GetTimestamp();
                work();
                if (n > 0) least = Math.Min(least, Stopwatch.GetElapsedTime(start).TotalSeconds); // the first warms up
            }
            return least;
        }
    }

    /// <summary>Bytes a second from one thread to another.</summary>
    private static double SocketBytes()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var sender = new TcpClient();
        sender.Connect((IPEndPoint)listener.LocalEndpoint);
        using var receiver = listener.AcceptTcpClient();
        var (from, to) = (new byte[SocketChunk], new byte[SocketChunk]);
        void Send()
        {
            for (var n = 0; n < SocketChunks; n++) sender.GetStream().Write(from);
        }

        var sending = new Thread(Send) { Name = "measure-socket", IsBackground = true };
        var start = Stopwatch.GetTimestamp();
        sending.Start();
        for (var n = 0; n < SocketChunks; n++) receiver.GetStream().ReadExactly(to);
        sending.Join();
        return (double)SocketChunk * SocketChunks / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
