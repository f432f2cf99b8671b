namespace Phi3VCluster.Client.Checks;

/// <summary>One thing that must hold, whether it does, and what was seen.</summary>
internal sealed record CheckRow(string Check, bool Ok, string Detail);
