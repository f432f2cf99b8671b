using System.Globalization;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Spec;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Client.Checks;

/// <summary>What this user shows clusters of himself: the files, their pair, their role, their authority and their time.</summary>
internal static class CertificateChecks
{
    public const int LeastDays = 7; // to have others made

    /// <param name="cluster">The configured one.</param>
    public static IReadOnlyList<CheckRow> All(ClusterAddress? cluster)
    {
        const string Name = "certificate", Authority = "certificate's authority";
        TlsIdentity? identity;
        try
        {
            identity = ClientTls.For(cluster);
        }
        catch (InputException wrong)
        {
            return [new(Name, false, string.Join(" ", wrong.Problems))];
        }
        if (identity is null)
            return [new(Name, true, $"none set; clusters that ask for one need {string.Join(", ", TlsFiles.Variables)}")];
        var (holder, role) = identity.Holder;
        var days = (identity.Expiry - DateTimeOffset.UtcNow).TotalDays;
        var (lasts, left) = (days >= LeastDays, string.Create(CultureInfo.InvariantCulture, $"{days:0} days left"));
        return
        [
            new(Name, lasts, $"{holder}, of a {role?.Word()}, with its key; {left}{(lasts ? "" : "; have another one made")}"),
            identity.Refusal() is { } refusal
                ? new(Authority, false,
                    $"{refusal}, and not of the authority that is set: silos will refuse it; set the three that belong together")
                : new(Authority, true, "has certified it"),
        ];
    }
}
