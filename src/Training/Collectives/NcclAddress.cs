using System.Globalization;
using System.Text.RegularExpressions;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// A rank's end as text: <c>nccl+RING WATCH HOST DEVICE VERSION LACK</c>, two <see cref="RingAddress"/>es, where the rank computes, and
/// why without NCCL. Only the last has spaces.
/// </summary>
/// <param name="Ring">For small messages of host memory, and for the meeting.</param>
/// <param name="Watch">For the <see cref="NcclWatch"/>.</param>
/// <param name="Host">Tells machines apart.</param>
/// <param name="Device">Tells the machine's GPUs apart, whatever numbers processes give them.</param>
/// <param name="Version">Of the rank's NCCL.</param>
/// <param name="Lack">Why the rank has no NCCL; empty if it has.</param>
internal sealed record NcclAddress(string Ring, string Watch, string Host, string Device, int Version, string Lack)
{
    private const string Scheme = "nccl+";

    /// <summary>
    /// This machine's name for <see cref="Host"/>. NCCL too takes NCCL_HOSTID for it, by which processes that share a GPU may pass for
    /// two machines.
    /// </summary>
    public static string ThisHost
    {
        get
        {
            const string BootId = "/proc/sys/kernel/random/boot_id"; // one for all containers of a machine
            var chosen = Environment.GetEnvironmentVariable("NCCL_HOSTID");
            var name = !string.IsNullOrEmpty(chosen) ? chosen : File.Exists(BootId) ? File.ReadAllText(BootId) : Environment.MachineName;
            return Regex.Replace(name.Trim(), @"\s", "-");
        }
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Scheme}{Ring} {Watch} {Host} {Device} {Version} {Lack}").TrimEnd();

    /// <exception cref="CollectiveException">The text is no such address.</exception>
    public static NcclAddress Parse(string text) =>
        text.StartsWith(Scheme, StringComparison.Ordinal)
            && text[Scheme.Length..].Split(' ', 6) is [var ring, var watch, var host, var device, var number, .. var lack]
            && int.TryParse(number, CultureInfo.InvariantCulture, out var version)
            ? new(ring, watch, host, device, version, string.Concat(lack))
            : throw new CollectiveException($"'{text}' is no address of an nccl collective. Do all ranks use the same collective?");
}
