namespace Phi3VCluster.Spec.Planning;

/// <summary>A kind of graphics card, by its data sheet, and the machine it is usually rented or bought in.</summary>
/// <param name="Id">As a command line names it.</param>
/// <param name="Gigabytes">Its memory as sold.</param>
/// <param name="VisibleGibibytes">Of which CUDA hands out so much.</param>
/// <param name="IsAmpere">Compute capability 8.0 or above, which brings bf16 units, flash attention and the layers written by hand.</param>
public sealed record GpuCard(string Id, string Name, int Gigabytes, double VisibleGibibytes, bool IsAmpere)
{
    private const double Giga = 1e9, Tera = 1e12;
    private const double SameMemory = 0.05; // drivers differ in what they keep; a slice of a card has at most half

    /// <summary>In a driver's name, what makes it another card than the one listed under the same name.</summary>
    private static readonly string[] Slower = ["PCIe", "NVL", "D"];

    /// <summary>Smallest first. Rates are dense and without sparsity; links count one direction.</summary>
    public static IReadOnlyList<GpuCard> All { get; } =
    [
        new("t4-16gb", "T4", 16, 14.6, false)
        {
            HalfRate = 65 * Tera, SingleRate = 8.1 * Tera, Memory = 320 * Giga,
            Machine = "NC64as T4 v3", PerNode = 4, Link = 12 * Giga, Network = 4 * Giga,
        },
        new("rtx-4090", "RTX 4090", 24, 23.5, true)
        {
            HalfRate = 165 * Tera, SingleRate = 82.6 * Tera, Memory = 1008 * Giga,
            PerNode = 1, Link = 25 * Giga,
        },
        new("v100-32gb", "V100", 32, 31.7, false)
        {
            HalfRate = 125 * Tera, SingleRate = 15.7 * Tera, Memory = 900 * Giga,
            Machine = "ND40rs v2", Link = 150 * Giga, Network = 12.5 * Giga,
        },
        new("rtx-5090", "RTX 5090", 32, 31.3, true)
        {
            HalfRate = 209 * Tera, SingleRate = 104.8 * Tera, Memory = 1792 * Giga,
            PerNode = 1, Link = 50 * Giga,
        },
        new("a100-40gb", "A100", 40, 39.4, true)
        {
            HalfRate = 312 * Tera, SingleRate = 19.5 * Tera, Memory = 1555 * Giga,
            Machine = "ND96asr A100 v4", Link = 300 * Giga, Network = 200 * Giga,
        },
        new("rtx-8000", "RTX 8000", 48, 47.4, false)
        {
            HalfRate = 130 * Tera, SingleRate = 16.3 * Tera, Memory = 672 * Giga,
            PerNode = 4, Link = 12 * Giga,
        },
        new("a100-80gb", "A100", 80, 79.1, true)
        {
            HalfRate = 312 * Tera, SingleRate = 19.5 * Tera, Memory = 2039 * Giga,
            Machine = "ND96amsr A100 v4", Link = 300 * Giga, Network = 200 * Giga,
        },
        new("h100-80gb", "H100", 80, 79.1, true)
        {
            IsMeasured = true, HasFp8 = true, HalfRate = 989 * Tera, SingleRate = 67 * Tera, Memory = 3350 * Giga,
            Machine = "ND96isr H100 v5", Link = 450 * Giga, Network = 400 * Giga,
        },
        new("h200-141gb", "H200", 141, 139.8, true)
        {
            IsMeasured = true, HasFp8 = true, HalfRate = 989 * Tera, SingleRate = 67 * Tera, Memory = 4800 * Giga,
            Machine = "ND96isr H200 v5", Link = 450 * Giga, Network = 400 * Giga,
        },
    ];

    /// <summary>Whether steps of the released size were timed on one.</summary>
    public bool IsMeasured { get; init; }

    /// <summary>Whether it takes <see cref="RunSpec.Fp8"/>.</summary>
    public bool HasFp8 { get; init; }

    /// <summary>Operations a second of 16-bit products that are summed in float32.</summary>
    public double HalfRate { get; init; }

    /// <summary>Operations a second in float32.</summary>
    public double SingleRate { get; init; }

    /// <summary>Bytes a second of its memory.</summary>
    public double Memory { get; init; }

    /// <summary>The size of an Azure machine with such cards; null for cards that are bought.</summary>
    public string? Machine { get; init; }

    /// <summary>Cards of a machine.</summary>
    public int PerNode { get; init; } = 8;

    /// <summary>Bytes a second from card to card in a machine.</summary>
    public double Link { get; init; }

    /// <summary>Bytes a second of a machine's network; where cards are bought, that of 10 Gbit/s.</summary>
    public double Network { get; init; } = 1.25 * Giga;

    public double UsableBytes => VisibleGibibytes * (1L << 30);

    public bool Computes(RunSpec spec) => IsAmpere || (spec.Precision != "bf16" && spec.Attention != "flash");

    /// <summary>The card of a name, or of its unmistakable beginning: h100, A100-80GB, "rtx 4090".</summary>
    /// <exception cref="InputException">None or several are meant.</exception>
    public static GpuCard Find(string given, string option, params IReadOnlyList<string> others)
    {
        var word = Plain(given);
        var meant = All.Where(card => Plain(card.Id) == word).ToList();
        if (meant.Count == 0 && word.Length > 0) meant = [.. All.Where(card => Plain(card.Id).StartsWith(word, StringComparison.Ordinal))];
        if (meant is [var card]) return card;
        string[] known = [.. All.Select(one => one.Id), .. others];
        if (meant.Count > 1)
            throw new InputException($"{option}: several are meant, got {given}; "
                + $"choose one of {string.Join(", ", meant.Select(one => one.Id))}.");
        var near = Nearest.To(given.Replace(' ', '-'), known) is { } one ? $"did you mean {one}? Known are" : "choose one of";
        throw new InputException($"{option}: no such GPU is known, got {given}; {near} {string.Join(", ", known)}.");
    }

    /// <summary>The card that a driver calls so; null where its rates are not known.</summary>
    /// <param name="device">E.g. "NVIDIA A100-SXM4-80GB".</param>
    /// <param name="bytes">Of memory that CUDA hands out on it.</param>
    public static GpuCard? OfDevice(string device, double bytes)
    {
        var words = $" {string.Concat(device.Select(letter => char.IsAsciiLetterOrDigit(letter) ? letter : ' '))} ";
        if (Slower.Any(word => Has(word))) return null;
        return All.FirstOrDefault(card => Has(card.Name) && Math.Abs(bytes / card.UsableBytes - 1) < SameMemory);

        bool Has(string name) => words.Contains($" {name} ", StringComparison.OrdinalIgnoreCase);
    }

    private static string Plain(string name) => new([.. name.Where(char.IsAsciiLetterOrDigit).Select(char.ToLowerInvariant)]);
}
