using System.Diagnostics;
using System.Runtime.InteropServices;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.CheckpointLoad;

/// <summary>A bfloat16 checkpoint into tensors, from the page cache, beside plainly reading the same file.</summary>
internal sealed class CheckpointLoadBenchmark : IBenchmark
{
    private const int TensorCount = 64, Rows = 4096, Columns = 4096; // 2 GiB
    private const int Repetitions = 3;

    public string Name => "checkpoint-load";

    public string Description => "2 GiB bfloat16 safetensors into bfloat16 and float32 tensors; beside a plain read of the file";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-").FullName;
        try
        {
            var path = Path.Combine(folder, "model.safetensors");
            Write(path);
            var bytes = new FileInfo(path).Length;
            ReadPlainly(path); // into the page cache
            var peer = options.Peers ? Enumerable.Range(0, Repetitions).Min(_ => ReadPlainly(path)) : (double?)null;
            foreach (var (label, type) in new[] { ("bfloat16", ScalarType.BFloat16), ("float32", ScalarType.Float32) })
            {
                var runs = Enumerable.Range(0, Repetitions).Select(_ => Load(folder, type)).ToList();
                yield return new($"into {label}", bytes / runs.Min(run => run.Seconds) / 1e9, "GB/s")
                {
                    Peer = peer is null ? null : "plain read",
                    PeerMeasured = bytes / peer / 1e9,
                };
                var (_, grown, kept) = runs.MaxBy(run => run.Grown);
                yield return new($"into {label}, peak memory", (double)grown / kept, "× its bytes");
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Write(string path)
    {
        using var scope = NewDisposeScope();
        var tensor = ones([Rows, Columns], ScalarType.BFloat16);
        SafeTensorsWriter.Write(path, [.. Enumerable.Range(0, TensorCount).Select(i => ($"layers.{i}.weight", tensor))]);
    }

    /// <summary>One read call after the other into one fresh buffer, as much memory as the tensors are.</summary>
    private static unsafe double ReadPlainly(string path)
    {
        var length = (nuint)new FileInfo(path).Length;
        var memory = (byte*)NativeMemory.Alloc(length);
        try
        {
            var start = Stopwatch.GetTimestamp();
            using var file = File.OpenHandle(path, options: FileOptions.SequentialScan);
            for (nuint done = 0; done < length;)
                done += (nuint)RandomAccess.Read(file, new Span<byte>(memory + done, (int)Math.Min(1 << 26, length - done)), (long)done);
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        finally
        {
            NativeMemory.Free(memory);
        }
    }

    private static (double Seconds, long Grown, long Kept) Load(string folder, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var before = ProcessMemory.ResetPeak();
        var start = Stopwatch.GetTimestamp();
        using var checkpoint = CheckpointFolder.Open(folder);
        long kept = 0;
        foreach (var name in checkpoint.Names)
        {
            var tensor = empty(checkpoint.Info(name).Shape, type);
            checkpoint.CopyTo(name, tensor);
            kept += tensor.numel() * tensor.ElementSize;
        }
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return (seconds, ProcessMemory.Peak() - before, kept);
    }
}
