using System.Diagnostics;
using System.Globalization;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Processor;

/// <summary>A scanned page, from the file's bytes to normalised crops, on one core.</summary>
internal sealed class ProcessorBenchmark : IBenchmark
{
    private const int NumCrops = 16, WarmUps = 3, Repetitions = 15;

    public string Name => "processor";

    public string Description =>
        $"JPEG page {ScannedPage.Width}×{ScannedPage.Height} to crops, one core, numCrops {NumCrops}; "
        + "beside the original's path with Pillow and torchvision";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        set_num_threads(1);
        var page = ScannedPage.Draw(seed: 1);
        var whole = Median(() => CropTensors.Make(ImageEncoder.Encode(page, NumCrops, "page"), CPU).Dispose());
        var encoded = ImageEncoder.Encode(page, NumCrops, "page");
        var crops = Median(() => CropTensors.Make(encoded, CPU).Dispose());
        var (peer, absence) = options.Peers ? Peer(page) : (null, null);
        yield return new($"page to {NumCrops + 1} crops", 1 / whole, "pages/s")
        {
            Peer = peer is null ? null : "Pillow, torchvision",
            PeerMeasured = 1 / peer,
            Note = absence,
        };
        yield return new("decode, resize, pad", (whole - crops) * 1e3, "ms");
        yield return new("normalise, crop", crops * 1e3, "ms");
    }

    private static double Median(Action work)
    {
        for (var i = 0; i < WarmUps; i++) work();
        var times = new double[Repetitions];
        for (var i = 0; i < times.Length; i++)
        {
            var start = Stopwatch.GetTimestamp();
            work();
            times[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        Array.Sort(times);
        return times[times.Length / 2];
    }

    private static (double? Seconds, string? Absence) Peer(byte[] page)
    {
        if (!DebianPython.Has("torch, torchvision, PIL"))
            return (null, "python3-torch, -torchvision or -pil not installed");
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, page);
            var (ended, said) = Start(DebianPython.Script("image_processor.py", $"{Repetitions}", $"{NumCrops}", path));
            return ended == 0
                ? (double.Parse(said, CultureInfo.InvariantCulture), null)
                : (null, "the peer failed; its reason is on stderr");
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static (int Ended, string Said) Start(ProcessStartInfo start)
    {
        start.Environment["OMP_NUM_THREADS"] = "1";
        using var process = Process.Start(start)!;
        var said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, said);
    }
}
