using System.Diagnostics;
using System.Globalization;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Spec.Recipes;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>
/// The recipe's speed table on this machine: each row that it can run trains a while on synthetic pages with random weights. On GPUs at the
/// released size; a CPU does the same on a small model.
/// </summary>
internal static class SpeedTableRunner
{
    private const int Repetitions = 5;
    private const long GpuProduct = 8192, CpuProduct = 1024;

    /// <param name="publish">(phase, done, of).</param>
    public static BenchResult Run(BenchJob job, Action<string, int, int> publish, CancellationToken stop)
    {
        var (started, machine) = (Stopwatch.GetTimestamp(), SpeedMachine.Here());
        publish("measuring a product", 0, 0);
        var before = Ceiling(machine, stop);
        var wanted = SpeedTable.RowsFor(machine.Gpus, job.Methods);
        var rows = new List<BenchRow>();
        foreach (var row in wanted)
        {
            var found = rows is [.., var last] ? $" (the last: {Found(last)})" : ""; // a table may be ended before it is whole
            publish($"{row.Method}{(row.HasFlash ? ", flash attention" : "")}, {Place(row.Gpus)}{found}", rows.Count, wanted.Count);
            rows.Add(Row(row, machine, job.Seconds, stop));
        }
        var pages = SyntheticPages.LikeDocVqa(SpeedTable.CpuBatch, (int)machine.Model.Vocabulary);
        var mean = PageOf(pages);
        var ceiling = Math.Max(before, Ceiling(machine, stop)); // one of them may have been disturbed
        return new(machine.Device, machine.Gpus, Sizes(machine.Model), machine.Gpus > 0, mean.Tokens, mean.Crops, ceiling,
            [.. rows.OrderBy(row => row.NotRun is not null)], Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    /// <exception cref="OperationCanceledException">The job was ended.</exception>
    internal static BenchRow Row(SpeedRow row, SpeedMachine machine, double seconds, CancellationToken stop)
    {
        var (spec, model, ranks) = (SpeedTable.SpecOf(row, machine.Precision), machine.Model, Math.Max(1, row.Gpus));
        var shown = new BenchRow(row.Method, spec.Precision, row.HasFlash, row.Gpus, spec.Batch.Micro!.Value, spec.Batch.Global);
        if (machine.Lack(row) is { } lack) return shown with { NotRun = lack };
        if (RecomputeChoice.Fitting(spec, model, ranks, machine.Bytes, machine.IsAmpere) is not { } fitting)
        {
            var least = RecomputeChoice.Need(spec with { ActivationCheckpointing = "full" }, model, ranks, machine.IsAmpere);
            return shown with
            {
                NotRun = $"a rank needs {MachineFit.Gigabytes(least)} at the least, it would have {MachineFit.Gigabytes(machine.Bytes)}",
            };
        }
        shown = shown with { ActivationCheckpointing = fitting.ActivationCheckpointing };
        var pages = SyntheticPages.LikeDocVqa(spec.Batch.Global, (int)model.Vocabulary);
        try
        {
            var ((timing, gpuPeak), hostPeak) = Train(fitting, row, model, pages, seconds, stop);
            if (timing.Steps == 0) return shown with { NotRun = $"every step was skipped: losses overflow in {spec.Precision}" };
            var speed = timing.Images / timing.Seconds;
            var cost = StepCost.Of(spec with { ActivationCheckpointing = "none" }, model, PageOf(pages), machine.IsAmpere);
            return shown with
            {
                Steps = timing.Steps,
                ImagesPerSecond = speed,
                PeakBytes = row.Gpus > 0 ? gpuPeak : hostPeak,
                Operations = speed * (cost.Products + cost.ThinProducts) / ranks,
            };
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            return shown with { NotRun = RankWorker.Explain(error).Split('\n')[0] };
        }
    }

    private static ((SpeedTiming, long?) Ranks, double? HostPeak) Train(
        RunSpec spec, SpeedRow row, ModelSizes model, IReadOnlyList<EncodedSample> pages, double seconds, CancellationToken stop)
    {
        using var flash = row.Gpus > 0 ? FlashSwitch.For(spec.Precision) : null;
        GC.Collect();
        Malloc.GiveBack(); // of the row before
        var seat = new SeatId("bench", 0);
        HostPeak.Enter(seat);
        try
        {
            var work = new SpeedRank(spec, RandomWeights.ConfigOf(model), pages);
            var ran = new SpeedRanks(Math.Max(1, row.Gpus), usesGpus: row.Gpus > 0, work).Run(seconds, stop);
            return (ran, HostPeak.Read()?.Peak);
        }
        finally
        {
            HostPeak.Leave(seat);
            if (row.Gpus > 0 && CudaAllocator.IsKnown) CudaAllocator.EmptyCache(); // the next row's kernels take other sizes
        }
    }

    /// <returns>Operations a second of one product of two large square matrices, at its best.</returns>
    private static double Ceiling(SpeedMachine machine, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var isGpu = machine.Gpus > 0;
        var (n, device) = (isGpu ? GpuProduct : CpuProduct, isGpu ? new Device(DeviceType.CUDA, 0) : CPU);
        if (isGpu) Cuda.Use(0);
        var type = RankCompute.TypeOf(machine.Precision);
        var (a, b) = (randn([n, n], device: device).to_type(type), randn([n, n], device: device).to_type(type));
        var least = double.PositiveInfinity;
        for (var repetition = 0; repetition <= Repetitions; repetition++)
        {
            stop.ThrowIfCancellationRequested();
            var start = Stopwatch.GetTimestamp();
            a.mm(b).Dispose();
            if (isGpu) cuda.synchronize();
            if (repetition > 0) least = Math.Min(least, Stopwatch.GetElapsedTime(start).TotalSeconds); // the first warms up
        }
        return 2.0 * n * n * n / least;
    }

    private static LetterPage PageOf(IReadOnlyList<EncodedSample> pages) => new(
        pages.Average(page => page.InputIds.Length), pages.Average(page => page.Images.Sum(image => image.CropCount)));

    private static string Found(BenchRow row) =>
        row.NotRun ?? string.Create(CultureInfo.InvariantCulture, $"{row.ImagesPerSecond:0.00} img/s");

    private static string Place(int gpus) => gpus == 0 ? "CPU" : $"{gpus} GPU{(gpus == 1 ? "" : "s")}";

    private static string Sizes(ModelSizes model) => string.Create(CultureInfo.InvariantCulture,
        $"{model.Parameters / 1e6:n0} M parameters: {model.Layers} layers of {model.Width}, tower of {model.TowerLayers} layers of "
            + $"{model.TowerWidth}, {model.Vocabulary:n0} tokens");
}
